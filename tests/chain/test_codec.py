"""Compact sizes and the bounded reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chain.codec import Reader, read_varint, varbytes, varint
from chain.errors import Invalid, Reject

# Bitcoin's protocol documentation, "Variable length integer", and the borders between the forms.
CANONICAL = {
    0: "00",
    1: "01",
    0xFC: "fc",
    0xFD: "fdfd00",
    0xFF: "fdff00",
    515: "fd0302",
    0xFFFF: "fdffff",
    0x1_0000: "fe00000100",
    0xFFFF_FFFF: "feffffffff",
    0x1_0000_0000: "ff0000000001000000",
    2**64 - 1: "ffffffffffffffffff",
}
NOT_CANONICAL = ["fd0000", "fdfc00", "fe00000000", "feffff0000", "ff0000000000000000", "ffffffffff00000000"]


@pytest.mark.parametrize(("number", "encoding"), CANONICAL.items())
def test_canonical_forms(number: int, encoding: str) -> None:
    assert varint(number).hex() == encoding
    assert read_varint(bytes.fromhex(encoding), 0) == (number, len(encoding) // 2)


@pytest.mark.parametrize("encoding", NOT_CANONICAL)
def test_longer_forms_are_refused(encoding: str) -> None:
    with pytest.raises(Invalid) as refused:
        read_varint(bytes.fromhex(encoding), 0)
    assert refused.value.code is Reject.MALFORMED
    with pytest.raises(Invalid):
        Reader(bytes.fromhex(encoding)).varint(2**64)


@given(st.integers(0, 2**64 - 1), st.binary(max_size=9), st.binary(max_size=9))
def test_varint_round_trip(number: int, before: bytes, after: bytes) -> None:
    encoding = varint(number)
    assert read_varint(before + encoding + after, len(before)) == (number, len(before) + len(encoding))


@given(st.integers(0, 2**64 - 1))
def test_truncated_varints(number: int) -> None:
    encoding = varint(number)
    for size in range(len(encoding)):
        with pytest.raises(IndexError):
            read_varint(encoding[:size], 0)
        with pytest.raises(Invalid):
            Reader(encoding[:size]).varint(2**64)


def test_reader_reads_field_by_field() -> None:
    reader = Reader(b"ab" + (7).to_bytes(4, "little") + varint(300) + varbytes(b"xyz"))
    assert reader.take(2) == b"ab"
    assert reader.uint(4) == 7
    assert reader.varint(300) == 300
    assert reader.varbytes(3) == b"xyz"
    reader.finish()


def test_reader_refuses_what_does_not_fit() -> None:
    for read in (
        lambda: Reader(b"a").take(2),
        lambda: Reader(b"abc").uint(4),
        lambda: Reader(varint(301)).varint(300),
        lambda: Reader(varbytes(b"abcd")).varbytes(3),
        lambda: Reader(varint(4) + b"abc").varbytes(4),
        lambda: Reader(b"a").finish(),
    ):
        with pytest.raises(Invalid) as refused:
            read()
        assert refused.value.code is Reject.MALFORMED
