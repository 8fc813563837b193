"""Limits of one JSON-RPC request. Each is named in the error, in `help help` and in docs/api.md."""

from typing import Final

from node.api.encoding.json_codec import DEPTH_MAX, DIGITS_MAX, ITEMS_MAX, STRINGS_MAX
from node.api.services.coin_scan import FOUND_MAX
from node.runtime.parking import API_SEATS

DERIVED_MAX: Final = 100_000
"""Keys derived for one call, which takes some seconds; Core takes a range of a million."""
RPC_BODY_MAX: Final = 10_000_000
"""Bytes of a request: a full block in hex, and some."""
BATCH_MAX: Final = RPC_BODY_MAX // len('{"method":"help"},')
"""Elements of a batch: a body with more of them cannot be all calls."""
BATCH_REPLY_MAX: Final = 32 * 1024 * 1024
"""Bytes of a batch's answers; the calls after that are not carried out, and are told so."""
LIMITS_TEXT: Final = f"""\
A request may have {RPC_BODY_MAX} bytes; that is what limits the number of calls in a batch. A batch's answers may
have {BATCH_REPLY_MAX} bytes: the calls after that are not carried out, and answered with error -1.
One call may have {STRINGS_MAX} strings, {ITEMS_MAX} commas, brackets {DEPTH_MAX} deep and numbers of {DIGITS_MAX} \
characters.
{API_SEATS} calls may wait for something at once; one may derive {DERIVED_MAX} keys and find {FOUND_MAX} coins.
Work whose client has gone is not gone on with."""
"""Text about the limits for `help help`."""
