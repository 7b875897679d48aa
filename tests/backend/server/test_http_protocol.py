"""HTTP/1.1 on a connection: what may come when, how much of it, and in which order it is answered."""

import json
import socket
from collections.abc import Callable
from contextlib import suppress

import pytest

from backend.server import bounded_http
from tests.backend.server.raw import (
    CHUNKED,
    CHUNKED_LAST,
    END,
    HOST,
    LINE,
    LIVE,
    MUCH,
    ORDER,
    POST,
    STREAM,
    chunk,
    exchange,
    read_all,
    statuses,
)
from tests.people import SERVICE
from tests.realtime.serving import Server


class TestWhatFollowsTheHead:
    """Nothing that comes later is taken for the head, and nothing of it is without a bound."""

    def test_a_trailer_does_not_authenticate(self, start_server: Callable[..., Server]) -> None:
        token = f"Authorization: Bearer {SERVICE}\r\n".encode()

        said = exchange(
            start_server(), CHUNKED_LAST + chunk(ORDER) + b"0\r\n" + token + b"\r\n", ends=False
        )

        assert statuses(said) == [401]

    def test_trailers_are_no_headers_of_the_next_request_either(
        self, start_server: Callable[..., Server]
    ) -> None:
        token = f"Authorization: Bearer {SERVICE}\r\n".encode()
        body = chunk(ORDER) + b"0\r\n" + token + b"\r\n"
        plain = POST + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(ORDER) + ORDER

        said = exchange(start_server(), CHUNKED + body + plain, ends=False)

        assert statuses(said) == [401, 401]

    @pytest.mark.parametrize(
        "more",
        [
            chunk(b"{") + b"0\r\n" + LINE * MUCH,
            chunk(b"{") + b"0\r\nX-Padding: " + b"x" * 4_000 * MUCH,
            chunk(b"{") + b"0\r\n" + b"x" * 4_000 * MUCH,
            chunk(b"{") + b"1;" + b"x" * 4_000 * MUCH,
            chunk(b"{", b";" + b"x" * 4_000) * MUCH,
        ],
        ids=["trailers", "one trailer", "the name of one", "an extension", "extensions"],
    )
    def test_what_surrounds_chunks_is_bounded_as_a_head_is(
        self, start_server: Callable[..., Server], more: bytes
    ) -> None:
        said = exchange(start_server(), CHUNKED + more, ends=False)

        assert statuses(said) == [431]

    def test_a_body_may_come_byte_by_byte(self, start_server: Callable[..., Server]) -> None:
        body = b"".join(chunk(b" ") for _ in range(50_000)) + b"0\r\n\r\n"

        said = exchange(start_server(), CHUNKED + body + POST + END, ends=False)

        assert 431 not in statuses(said)

    def test_trailers_without_end_take_no_memory(self, start_server: Callable[..., Server]) -> None:
        server = start_server()
        with socket.create_connection(("127.0.0.1", server.port), 10) as client:
            client.sendall(CHUNKED + chunk(b"{") + b"0\r\n")
            sent = 0
            with suppress(ConnectionError):
                while sent < 100_000_000:
                    client.sendall(LINE * 16)
                    sent += len(LINE) * 16
        # What the system's buffers take, and no more.
        assert sent < 20_000_000


class TestHeads:
    def test_one_that_is_too_large_is_refused(self, start_server: Callable[..., Server]) -> None:
        said = exchange(start_server(), LIVE[:-2] + LINE * MUCH, ends=False)

        assert statuses(said) == [431]
        head, _, body = said.partition(b"\r\n\r\n")
        assert b"content-type: application/problem+json" in head
        assert json.loads(body)["code"] == "head_too_large"

    def test_one_that_follows_a_large_body_in_one_segment_is_its_own(
        self, start_server: Callable[..., Server]
    ) -> None:
        stream = STREAM + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000

        said = exchange(start_server(), stream + LIVE[:-2] + END, ends=False)

        assert statuses(said) == [401, 200]

    @pytest.mark.parametrize(
        ("fields", "body"),
        [
            (b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
            (b"Content-Length: 1\r\nContent-Length: 2\r\n", b"xx"),
            (b"Content-Length: 1\r\nContent-Length: 1\r\n", b"x"),
            (b"Content-Length: +1\r\n", b"x"),
            (b"Content-Length: 1, 1\r\n", b"x"),
            (b"Transfer-Encoding: identity\r\n", b""),
            (b"Transfer-Encoding: chunked, gzip\r\n", b""),
            (b"Transfer-Encoding: chunked\r\n", b"1 \r\nx\r\n0\r\n\r\n"),
            (b"Transfer-Encoding: chunked\r\n", b"1\nx\n0\n\n"),
            (b"X-A: 1\r\n folded\r\n", b""),
            (b"X-A : 1\r\n", b""),
            (b"X-A: 1\nX-B: 2\r\n", b""),
            (b"X-A: a\rb\r\n", b""),
            (b"X-A: a\x00b\r\n", b""),
            (b"Host: 127.0.0.1\r\n", b""),
            (b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", b""),
        ],
        ids=[
            "length and chunks", "two lengths", "the same length twice", "a length with a sign",
            "a list of lengths", "an encoding that ends nothing", "chunked and not last",
            "a blank behind a chunk's size", "chunks by bare LF", "a folded line",
            "a blank before the colon", "bare LF", "bare CR", "NUL", "two hosts", "two tokens",
        ],
    )  # fmt: skip
    def test_one_that_two_readers_may_understand_differently_is_refused(
        self, start_server: Callable[..., Server], fields: bytes, body: bytes
    ) -> None:
        head = b"GET /board/login HTTP/1.1\r\n" + HOST + fields + END

        assert statuses(exchange(start_server(), head + body, ends=False)) == [400]

    @pytest.mark.parametrize(
        ("line", "status"),
        [
            (b"GET /health/live HTTP/2.0", 505),
            (b"GET /health/live HTTP/1.7", 400),
            (b"CONNECT 127.0.0.1:80 HTTP/1.1", 400),
            (b"GET ftp://127.0.0.1/health/live HTTP/1.1", 400),
            (b"GET http://a@127.0.0.1/health/live HTTP/1.1", 400),
            (b"GET health/live HTTP/1.1", 400),
            (b"GET HTTP://127.0.0.1:80/health/live?x=1 HTTP/1.1", 200),
        ],
    )
    def test_a_request_line_is_a_path_or_a_url_of_ours(
        self, start_server: Callable[..., Server], line: bytes, status: int
    ) -> None:
        said = exchange(start_server(), line + b"\r\n" + HOST + END, ends=False)

        assert statuses(said) == [status]

    def test_a_request_without_a_host_is_refused(self, start_server: Callable[..., Server]) -> None:
        head = b"GET /health/live HTTP/1.1\r\n" + END

        assert statuses(exchange(start_server(), head, ends=False)) == [400]

    def test_the_host_of_a_whole_url_counts_and_not_the_field(
        self, start_server: Callable[..., Server]
    ) -> None:
        server = start_server()
        ours = b"GET http://127.0.0.1/board/login HTTP/1.1\r\nHost: evil.example\r\n" + END
        theirs = b"GET http://evil.example/board/login HTTP/1.1\r\n" + HOST + END

        assert statuses(exchange(server, theirs, ends=False)) == [400]
        assert statuses(exchange(server, ours, ends=False)) != [400]


@pytest.mark.parametrize(
    ("head", "after"),
    [
        (LIVE, b"\r\n"),
        (LIVE, b"GET /heal"),
        (STREAM + b"Content-Length: 100\r\n\r\n", b"x"),
    ],
    ids=["an empty line", "half a head", "a body that is not waited for"],
)
def test_who_never_comes_to_his_next_request_is_hung_up_on(
    start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, head: bytes, after: bytes
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_TIME", 2.0)
    with socket.create_connection(("127.0.0.1", start_server().port), 30) as client:
        client.sendall(head)
        assert client.recv(65_536).startswith(b"HTTP/1.1 ")
        client.sendall(after)

        read_all(client)


def test_the_rest_of_a_body_that_was_answered_early_is_no_head(
    start_server: Callable[..., Server],
) -> None:
    with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
        client.sendall(STREAM + b"Content-Length: 200000\r\n\r\n")
        assert client.recv(65_536).startswith(b"HTTP/1.1 401")
        client.sendall(b"x" * 200_000)
        client.sendall(STREAM + b"\r\n")

        assert client.recv(65_536).startswith(b"HTTP/1.1 401")
