"""The request reader alone: whatever comes, in whatever pieces."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.wire.messages import Limits, Request
from holdfast.wire.reader import RequestReader

LIMITS = Limits(body_bytes=1000)

METHODS = st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"HEAD", b"CONNECT", b"FOO"])
TARGETS = st.sampled_from([b"/", b"/a?b=c", b"http://h/x?y", b"*", b"host:1", b"/%zz", b"/\xc3\xa9", b"//x"])
LINES = st.sampled_from(
    [
        b"Host: x",
        b"Content-Length: 3",
        b"Content-Length: 0",
        b"Content-Length: 3, 3",
        b"Content-Length: 2000",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Transfer-Encoding: chunked, gzip",
        b"Connection: close",
        b"Connection: Upgrade",
        b"Upgrade: h2c",
        b"Upgrade: websocket",
        b"Expect: 100-continue",
        b"X: " + b"y" * 50,
        b" folded",
        b"No colon",
        b": empty",
    ]
)
BODIES = st.sampled_from(
    [b"", b"abc", b"3\r\nabc\r\n0\r\n\r\n", b"3;e=x\r\nabc\r\n0\r\nT: t\r\n\r\n", b"zz\r\n", b"\r\n"]
)
MESSAGES = st.tuples(METHODS, TARGETS, st.sampled_from([b"1.1", b"1.1", b"1.0", b"2.0"]), st.lists(LINES), BODIES).map(
    lambda m: (
        m[0] + b" " + m[1] + b" HTTP/" + m[2] + b"\r\n" + b"".join(line + b"\r\n" for line in m[3]) + b"\r\n" + m[4]
    )
)
WIRES = st.one_of(
    st.lists(MESSAGES, min_size=1, max_size=3).map(b"".join),
    st.binary(max_size=200),
    st.tuples(MESSAGES, st.binary(max_size=20)).map(b"".join),
)


def read(pieces: list[bytes]) -> tuple[list[Request], int]:
    """The requests, upgrades granted none, and the status of the refusal, 0 if there was none."""
    reader = RequestReader(LIMITS)
    for piece in pieces:
        if reader.refusal is not None:
            break
        reader.feed(piece)
        while reader.upgrading:
            reader.go_on()
    return list(reader.ready), reader.refusal.status if reader.refusal else 0


@given(WIRES, st.lists(st.integers(1, 40), max_size=50))
@example(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabcGET", [3])
def test_where_the_pieces_are_cut_changes_nothing(wire, cuts):
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(wire[at : at + cut])
        at += cut
    pieces.append(wire[at:])
    assert read([piece for piece in pieces if piece]) == read([wire] if wire else [])


@given(WIRES)
def test_no_request_is_larger_than_allowed_or_without_a_host(wire):
    requests, _ = read([wire])
    for request in requests:
        assert len(request.body) <= LIMITS.body_bytes
        assert request.http10 or "host" in request.headers
        assert not ("content-length" in request.headers and "transfer-encoding" in request.headers)
