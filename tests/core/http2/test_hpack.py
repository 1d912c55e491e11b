"""Header compression: the examples of RFC 7541, its errors section by section, and the `hpack` library as a judge."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailgate.http2.codes import ErrorCode
from tailgate.http2.errors import ConnectionViolation
from tailgate.http2.events import Headers
from tailgate.http2.hpack_decoder import MAX_TABLE_BYTES, Decoder
from tailgate.http2.hpack_encoder import Encoder

GET: Headers = ((b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"www.example.com"))
GET_S: Headers = (
    (b":method", b"GET"),
    (b":scheme", b"https"),
    (b":path", b"/index.html"),
    (b":authority", b"www.example.com"),
    (b"custom-key", b"custom-value"),
)
NO_CACHE: Headers = (*GET, (b"cache-control", b"no-cache"))
DATE, LATER = b"Mon, 21 Oct 2013 20:13:21 GMT", b"Mon, 21 Oct 2013 20:13:22 GMT"
LOCATION = (b"location", b"https://www.example.com")
COOKIE = b"foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"

# Section of the appendix: blocks that follow on one another, and what they say.
EXAMPLES: dict[str, list[tuple[str, Headers]]] = {
    "C.2.1": [("400a637573746f6d2d6b65790d637573746f6d2d686561646572", ((b"custom-key", b"custom-header"),))],
    "C.2.2": [("040c2f73616d706c652f70617468", ((b":path", b"/sample/path"),))],
    "C.2.3": [("100870617373776f726406736563726574", ((b"password", b"secret"),))],
    "C.2.4": [("82", ((b":method", b"GET"),))],
    "C.3": [
        ("828684410f7777772e6578616d706c652e636f6d", GET),
        ("828684be58086e6f2d6361636865", NO_CACHE),
        ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", GET_S),
    ],
    "C.4": [
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff", GET),
        ("828684be5886a8eb10649cbf", NO_CACHE),
        ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", GET_S),
    ],
    "C.5 (with a table of 256 bytes, which evicts)": [
        (
            "3fe1014803333032580770726976617465611d" + DATE.hex() + "6e17" + LOCATION[1].hex(),
            ((b":status", b"302"), (b"cache-control", b"private"), (b"date", DATE), LOCATION),
        ),
        ("4803333037c1c0bf", ((b":status", b"307"), (b"cache-control", b"private"), (b"date", DATE), LOCATION)),
        (
            "88c1611d" + LATER.hex() + "c05a04677a69707738" + COOKIE.hex(),
            (
                (b":status", b"200"),
                (b"cache-control", b"private"),
                (b"date", LATER),
                LOCATION,
                (b"content-encoding", b"gzip"),
                (b"set-cookie", COOKIE),
            ),
        ),
    ],
}

WRONG = {
    "2.3.3 entry 0": "80",
    "2.3.3 entry 0, before what would make it a literal": "8001610162",
    "2.3.3 an entry that is not there": "be",
    "2.3.3 a name that is not there": "7e0161",
    "4.2 a size of the table behind a field": "8220",
    "4.2 a size of the table above what is allowed": "3fe21f",
    "5.1 an integer without an end": "ffffffff",
    "5.1 an integer beyond 32 bits": "ffffffffff7f",
    "5.1 an integer with endless zeros": "ff80808080808080808000",
    "5.2 a string beyond the block": "00056162",
    "5.2 a string without its length": "0001",
    "5.2 a value that is missing": "000161",
    "5.2 Huffman: the end of the string within it": "008563fffffffff0016100",
    "5.2 Huffman: padding of more than seven bits": "0082ffff0161",
    "5.2 Huffman: padding of eight bits": "0082f8ff0161",
    "5.2 Huffman: padding that is not ones": "0081180161",
}


@pytest.mark.parametrize("section", EXAMPLES)
def test_the_examples_of_the_standard_are_decoded(section: str) -> None:
    decoder = Decoder(10_000)
    assert [decoder.decode(bytes.fromhex(block)) for block, _ in EXAMPLES[section]] == [
        headers for _, headers in EXAMPLES[section]
    ]


@pytest.mark.parametrize("block", WRONG.values(), ids=WRONG)
def test_what_the_standard_forbids_is_a_compression_error(block: str) -> None:
    with pytest.raises(ConnectionViolation) as caught:
        Decoder(10_000).decode(bytes.fromhex(block))
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


names = st.sampled_from([b":path", b":status", b"te", b"x", b"grpc-timeout", b"cookie"]) | st.binary(max_size=40)
values = st.sampled_from([b"200", b"/", b"trailers", b"1S"]) | st.binary(max_size=300)
lists = st.lists(st.tuples(names, values), max_size=12).map(tuple)
some_lists = st.lists(lists, min_size=1, max_size=3).flatmap(
    lambda few: st.lists(st.sampled_from(few), min_size=1, max_size=6)
)
sizes = st.none() | st.integers(0, MAX_TABLE_BYTES)


@given(some_lists, st.lists(sizes, min_size=6, max_size=6), st.booleans())
def test_blocks_of_the_library_are_decoded_as_it_does(
    sent: list[Headers], table_bytes: list[int | None], huffman: bool
) -> None:
    encoder, judge, decoder = hpack.Encoder(), hpack.Decoder(), Decoder(1 << 20)
    for headers, size in zip(sent, table_bytes, strict=False):
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(headers, huffman=huffman)
        assert decoder.decode(block) == tuple(judge.decode(block, raw=True)) == headers


@given(some_lists, st.lists(sizes, min_size=6, max_size=6))
def test_our_blocks_are_decoded_by_the_library(sent: list[Headers], table_bytes: list[int | None]) -> None:
    encoder, judge, decoder = Encoder(), hpack.Decoder(), Decoder(1 << 20)
    for headers, size in zip(sent, table_bytes, strict=False):
        if size is not None:
            judge.max_allowed_table_size = size  # as if we had been told, and it had been acknowledged
            encoder.limit_table(size)
        block = encoder.encode(headers)
        assert tuple(judge.decode(block, raw=True)) == headers == decoder.decode(block)
        assert judge.header_table_size <= judge.max_allowed_table_size


@st.composite
def damaged_blocks(draw: st.DrawFn) -> list[bytes]:
    """Blocks that follow on one another, of which some have a byte changed, or are nothing but noise."""
    encoder, blocks = hpack.Encoder(), []
    for headers in draw(some_lists):
        block = bytearray(encoder.encode(headers, huffman=draw(st.booleans())))
        if block and draw(st.booleans()):
            block[draw(st.integers(0, len(block) - 1))] = draw(st.integers(0, 255))
        blocks.append(bytes(block))
    return blocks


@given(damaged_blocks() | st.lists(st.binary(max_size=60), min_size=1, max_size=8))
def test_of_any_bytes_we_make_what_the_library_makes(blocks: list[bytes]) -> None:
    judge, decoder = hpack.Decoder(max_header_list_size=1 << 30), Decoder(1 << 30)
    judge.max_allowed_table_size = MAX_TABLE_BYTES
    for block in blocks:
        try:
            expected = tuple(judge.decode(block, raw=True))
        except hpack.HPACKError:
            with pytest.raises(ConnectionViolation):
                decoder.decode(block)
            return
        assert decoder.decode(block) == expected


@given(st.binary(max_size=100), st.booleans())
def test_of_any_huffman_code_we_make_what_the_library_makes(content: bytes, plain: bool) -> None:
    if plain:  # few of any bytes are a code
        encoded = hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(b"", content)], huffman=True)
        content = encoded[3:] if len(encoded) < 3 + 0x7F else b""
    block = b"\0\1x" + bytes((0x80 | len(content),)) + content
    try:
        expected = tuple(hpack.Decoder().decode(block, raw=True))
    except hpack.HPACKError:
        with pytest.raises(ConnectionViolation):
            Decoder(1000).decode(block)
    else:
        assert Decoder(1000).decode(block) == expected


def test_every_entry_of_a_full_table_is_found_where_the_library_finds_it() -> None:
    judge, decoder = hpack.Decoder(), Decoder(1000)
    for number in range(300):  # gRPC's own client enters every new timeout
        block = b"\x40\x0cgrpc-timeout\4%04d" % number
        assert decoder.decode(block) == tuple(judge.decode(block, raw=True))
    entries = 61 + 4096 // (32 + 12 + 4)
    for index in range(1, entries + 1):
        block = bytes((0x80 | index,)) if index < 0x7F else b"\xff" + bytes((index - 0x7F,))
        expected = tuple(judge.decode(block, raw=True))
        assert decoder.decode(block) == expected
        if index >= 0x7F:  # the same number with a byte too many
            assert decoder.decode(b"\xff" + bytes((0x80 | index - 0x7F, 0))) == expected
    for decode in (decoder.decode, judge.decode):
        with pytest.raises((ConnectionViolation, hpack.HPACKError)):
            decode(b"\xff" + bytes((entries + 1 - 0x7F,)))


@given(some_lists, st.integers(0, 3000))
def test_a_list_is_given_up_if_and_only_if_it_is_longer_than_allowed(sent: list[Headers], most: int) -> None:
    encoder, decoder = hpack.Encoder(), Decoder(most)
    for headers in sent:
        size = sum(len(name) + len(value) + 32 for name, value in headers)  # RFC 9113 §6.5.2
        assert decoder.decode(encoder.encode(headers)) == (headers if size <= most else None)


def test_a_block_means_something_else_when_the_table_has_changed() -> None:
    decoder, newest = Decoder(1000), b"\xbe"
    decoder.decode(b"\x40\1a\1b")
    assert [decoder.decode(newest) for _ in range(2)] == [((b"a", b"b"),)] * 2
    decoder.decode(b"\x40\1a\1c")
    assert decoder.decode(newest) == ((b"a", b"c"),)
    decoder.decode(b"\x20\x3f\xe1\x1f")
    with pytest.raises(ConnectionViolation):
        decoder.decode(newest)


def test_a_list_that_is_too_long_is_given_up_but_read_to_its_end() -> None:
    decoder = Decoder(3 * 34)
    assert decoder.decode(b"\x40\1a\1b" * 3) == ((b"a", b"b"),) * 3
    assert decoder.decode(b"\x40\1a\1c" * 4) is None
    assert decoder.decode(b"\xbe") == ((b"a", b"c"),)


def test_a_list_that_is_too_long_is_given_up_whether_it_is_from_the_table_or_in_the_block() -> None:
    decoder, field = Decoder(2 * 133), (b"a", bytes(100))
    literal, entered = (kind + b"\1a\x64" + bytes(100) for kind in (b"\0", b"\x40"))
    for piece in (literal, entered, b"\xbe"):
        assert decoder.decode(piece * 2) == (field, field)
        assert decoder.decode(piece * 3) is None


def test_an_entry_larger_than_the_table_empties_it() -> None:
    decoder = Decoder(10_000)
    decoder.decode(b"\x40\1a\1b")
    decoder.decode(b"\x3f\x00\x40\1a\1b")  # a table of 31 bytes
    with pytest.raises(ConnectionViolation):
        decoder.decode(b"\xbe")


def test_what_repeats_takes_a_byte_a_field_and_what_differs_leaves_the_table_alone() -> None:
    encoder, judge = Encoder(), hpack.Decoder()
    repeating = ((b":path", b"/service/method"), (b"te", b"trailers"), (b"user-agent", b"test"))
    for number in range(200):
        headers = (*repeating, (b"grpc-timeout", b"%dm" % number))
        block = encoder.encode(headers)
        assert tuple(judge.decode(block, raw=True)) == headers
        if number:
            assert len(block) == 3 + 1 + 1 + len(b"grpc-timeout") + 1 + len(headers[-1][1])
    assert len(judge.header_table.dynamic_entries) == 3


def test_any_number_of_names_can_be_sent_of_which_few_are_remembered() -> None:
    encoder, judge = Encoder(), hpack.Decoder()
    for number in [*range(1000), *range(1000)]:
        headers = ((b"x-%d" % number, b"%d" % number), (b"x-same", b"1"))
        assert tuple(judge.decode(encoder.encode(headers), raw=True)) == headers
    assert len(encoder._names) < 100  # the promise is about memory


def test_secrets_are_never_to_be_entered() -> None:
    (field,) = hpack.Decoder().decode(Encoder().encode(((b"authorization", b"Bearer x"),)), raw=True)
    assert isinstance(field, hpack.NeverIndexedHeaderTuple)
