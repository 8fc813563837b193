"""`bitcoin:` URIs as BIP21 has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.tx import COIN
from wallet.errors import InvalidValue
from wallet.uri import PaymentRequest, parse_request

ADDRESS = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        (ADDRESS, PaymentRequest(ADDRESS)),
        (f" {ADDRESS} ", PaymentRequest(ADDRESS)),
        (f"bitcoin:{ADDRESS}", PaymentRequest(ADDRESS)),
        (f"BITCOIN:{ADDRESS.upper()}", PaymentRequest(ADDRESS.upper())),
        (f"bitcoin:{ADDRESS}?", PaymentRequest(ADDRESS)),
        (f"bitcoin:{ADDRESS}?amount=20.3", PaymentRequest(ADDRESS, 20 * COIN + 30_000_000)),
        (f"bitcoin:{ADDRESS}?AMOUNT=1&Label=x", PaymentRequest(ADDRESS, COIN, "x")),
        (
            f"bitcoin:{ADDRESS}?amount=50&label=Luke-Jr&message=Donation%20for%20project%20xyz",
            PaymentRequest(ADDRESS, 50 * COIN, "Luke-Jr", "Donation for project xyz"),
        ),
        (f"bitcoin:{ADDRESS}?somethingyoudontunderstand=50&other", PaymentRequest(ADDRESS)),
        (f"bitcoin:{ADDRESS}?label=&message=%E2%82%AC%0A%1b[31m", PaymentRequest(ADDRESS, None, None, "€ [31m")),
        (f"bitcoin:{ADDRESS}#fragment", PaymentRequest(ADDRESS)),
        ("bitcoin:", PaymentRequest("")),
    ],
)
def test_uris(text: str, request_: PaymentRequest) -> None:
    assert parse_request(text) == request_


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("amount=", "is not an amount"),
        ("amount=50sat", "is not an amount"),
        ("amount=1e3", "is not an amount"),
        ("amount=0", "cannot be paid"),
        ("amount=1&amount=1", "gives 'amount' twice"),
        ("req-somethingyoudontunderstand=50", "requires 'req-somethingyoudontunderstand'"),
        ("REQ-x=1", "requires 'req-x'"),
        ("label=%", "a % that two hex digits do not follow"),
        ("label=%zz", "a % that two hex digits do not follow"),
        ("label=%ff", "not UTF-8"),
        ("label=" + "x" * 2_000, "has at most 2000 characters"),
    ],
)
def test_uris_that_are_refused(query: str, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        parse_request(f"bitcoin:{ADDRESS}?{query}")


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for candidate in (text, f"bitcoin:{text}"):
        try:
            request = parse_request(candidate)
        except InvalidValue:
            continue
        assert all(part is None or part.isprintable() for part in (request.label, request.message))
