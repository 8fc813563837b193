"""Sizes of messages on the wire, without writing them where that would be costly."""

from collections.abc import Sequence

from node.interface.checked_block import CheckedBlock
from node.interface.effects import Failed, PeerReply
from node.interface.messages import Blocks, BlockTxs, Headers, Message, Refusal, Txs
from node.p2p.wire.codec import LAYOUTS, encode

MESSAGE_BYTES = 2
"""Version and kind."""
COUNT_BYTES = 3
"""About what a count or a length takes."""
HEADER_BYTES = 80


def size_of(message: Message | PeerReply | None) -> int:
    """Bytes of a message's body, those of long lists to within a few in a hundred; 0 for none."""
    match message:
        case Failed() | None:
            return 0
        case Refusal():
            return MESSAGE_BYTES + 1
        case Blocks():
            return _list_size([len(raw) for raw in message.raws])
        case Headers():
            return MESSAGE_BYTES + COUNT_BYTES + HEADER_BYTES * len(message.headers)
        case Txs() | BlockTxs():
            return _list_size([tx.size for tx in message.txs])
        case tuple():  # blocks, unpacked
            return _list_size([body.block.size for body in message if isinstance(body, CheckedBlock)])
    return len(encode(message)) if type(message) in LAYOUTS else 0


def _list_size(sizes: Sequence[int]) -> int:
    return MESSAGE_BYTES + COUNT_BYTES * (1 + len(sizes)) + sum(sizes)
