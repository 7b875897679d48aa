"""A handshake among what comes before and after it on its connection, by the fast way and by the plain one."""

import socket
from collections.abc import Callable

import pytest

from orders.models import Order
from tests.backend.server.raw import exchange, frame, handshake, read_until, statuses
from tests.realtime.serving import Server

pytestmark = pytest.mark.usefixtures("either_way")
Start = Callable[..., Server]

LIVE = b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
PING, CLOSE = frame(0x81, b"ping"), frame(0x88, b"")


def test_a_handshake_behind_a_request_waits_for_its_answer(
    start_server: Start, order: Order
) -> None:
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(LIVE + handshake(order) + PING)
        said = read_until(client, b"\x81\x04pong")

    answered, _, opened = said.partition(b"HTTP/1.1 101 ")
    assert statuses(answered) == [200]
    assert answered.endswith(b"\r\n\r\nalive\n")
    assert b'"welcome"' in opened
    assert b"HTTP/1.1" not in opened


@pytest.mark.parametrize("apart", [False, True], ids=["one segment", "the next segment"])
def test_frames_that_come_with_the_handshake_are_heard(
    start_server: Start, order: Order, *, apart: bool
) -> None:
    early = frame(0x89, b"early") + PING
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for segment in (handshake(order), early) if apart else (handshake(order) + early,):
            client.sendall(segment)
        said = read_until(client, b"\x81\x04pong")

    head, _, frames = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert frames.index(b'"welcome"') < frames.index(b"pong")
    assert b"\x8a\x05early" in frames


def test_a_handshake_in_two_segments_is_one(start_server: Start, order: Order) -> None:
    whole = handshake(order)
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        for start in range(0, len(whole), 60):
            client.sendall(whole[start : start + 60])

        assert read_until(client, b'"synced"').startswith(b"HTTP/1.1 101 ")


def test_of_http_1_0_an_upgrade_is_ignored(start_server: Start, order: Order) -> None:
    """RFC 9110, 7.8: what is left is a request for a page that is not there."""
    old = handshake(order).replace(b" HTTP/1.1", b" HTTP/1.0", 1)

    assert statuses(exchange(start_server(), old, ends=False)) == [404]


@pytest.mark.parametrize(
    "again",
    [
        "Host: evil.example",
        "Host: 127.0.0.1",
        "Authorization: Bearer another",
        "Origin: x\r\nOrigin: y",
    ],
)
def test_a_header_that_comes_twice_is_refused(
    start_server: Start, order: Order, again: str
) -> None:
    assert statuses(exchange(start_server(), handshake(order, again), ends=False)) == [400]


@pytest.mark.parametrize(
    "more",
    ["Content-Length: 4", "Transfer-Encoding: chunked"],
)
def test_a_handshake_with_a_body_is_refused(start_server: Start, order: Order, more: str) -> None:
    said = exchange(start_server(), handshake(order, more) + b"0\r\n\r\n" + PING, ends=False)

    assert [each // 100 for each in statuses(said)] == [4]


def test_the_url_of_a_handshake_may_be_whole(start_server: Start, order: Order) -> None:
    whole = handshake(order).replace(b"GET /", b"GET http://127.0.0.1/", 1)
    theirs = handshake(order).replace(b"GET /", b"GET http://evil.example/", 1)
    server = start_server()

    assert statuses(exchange(server, whole + CLOSE, ends=False)) == [101]
    assert statuses(exchange(server, theirs, ends=False)) == [400]


@pytest.mark.parametrize(
    "wrong",
    [
        b"\x81\xfe\x00\x04\x00\x00\x00\x00ping",
        b"\x81\xff\x00\x00\x00\x00\x00\x00\x00\x04\x00\x00\x00\x00ping",
        b"\x81\xff\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00" + b" " * 256,
        b"\x81\xfe\x00\x7d\x00\x00\x00\x00" + b" " * 125,
    ],
    ids=["4 in two bytes", "4 in eight", "256 in eight", "125 in two"],
)
def test_a_length_in_more_bytes_than_it_takes_is_a_protocol_error(
    start_server: Start, order: Order, wrong: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(handshake(order))
        read_until(client, b'"synced"')
        client.sendall(PING)
        read_until(client, b"\x81\x04pong")
        client.sendall(wrong)
        said = read_until(client, b"fewest bytes")

    assert (1002).to_bytes(2) in said


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_lengths_in_the_fewest_bytes_are_taken(
    start_server: Start, order: Order, size: int
) -> None:
    padded = frame(0x81, b'{"type":"ping"}'.ljust(size)) if size > 15 else frame(0x8A, b"x" * size)
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(handshake(order) + padded + PING)

        assert b"\x88" not in read_until(client, b"\x81\x04pong")
