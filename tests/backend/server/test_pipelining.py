"""Requests that follow one another on a connection, and those of HTTP/1.0: what is answered, when, and how."""

import socket
from collections.abc import Callable
from contextlib import suppress

import pytest
from django.conf import settings

from backend.server import bounded_http
from orders.models import Order
from tests.backend.server.raw import (
    CHUNKED,
    END,
    HOST,
    LIVE,
    ORDER,
    POST,
    STREAM,
    chunk,
    exchange,
    read_until,
    statuses,
)
from tests.realtime.serving import Server


class TestPipelining:
    """Answers come in the order of the requests (RFC 9112, 9.3.2)."""

    def test_requests_in_one_segment_are_answered_in_turn(
        self, start_server: Callable[..., Server]
    ) -> None:
        last = STREAM + END

        said = exchange(start_server(), LIVE * 300 + last, ends=False)

        assert statuses(said) == [200] * 300 + [401]

    def test_one_request_is_parsed_at_a_time(
        self, start_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        waiting: list[int] = []
        began = bounded_http.BoundedHttpProtocol.on_headers_complete

        def watched(self: bounded_http.BoundedHttpProtocol) -> None:
            began(self)
            waiting.append(len(self.pipeline))

        monkeypatch.setattr(bounded_http.BoundedHttpProtocol, "on_headers_complete", watched)
        last = LIVE[:-2] + END

        said = exchange(start_server(), LIVE * 100 + last, ends=False)

        assert statuses(said) == [200] * 101
        assert waiting == [0] * 101

    def test_a_body_that_waits_behind_a_stream_is_not_collected(
        self, start_server: Callable[..., Server], order: Order
    ) -> None:
        ref = order.ref
        token = settings.ORDERCAST_SERVICE_TOKEN
        stream = (
            f"GET /api/orders/{ref}/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", start_server().port), 5) as client:
            client.sendall(stream + CHUNKED)
            read_until(client, b"synced")
            sent = 0
            client.settimeout(1.0)
            with suppress(TimeoutError):
                while sent < 100_000_000:
                    sent += client.send(chunk(b"x" * 60_000))

        assert sent < 20_000_000

    def test_what_makes_no_sense_is_refused_after_what_came_before_it(
        self, start_server: Callable[..., Server]
    ) -> None:
        chunked = CHUNKED + chunk(ORDER) + b"0\r\n\r\n"

        assert statuses(exchange(start_server(), LIVE + b"nonsense\r\n\r\n", ends=False)) == [
            200,
            400,
        ]
        assert statuses(exchange(start_server(), chunked + b"nonsense\r\n\r\n", ends=False)) == [
            401,
            400,
        ]
        assert statuses(exchange(start_server(), chunked + CHUNKED + b"zz\r\n", ends=False)) == [
            401,
            400,
        ]

    def test_nothing_is_answered_that_comes_after_a_close(
        self, start_server: Callable[..., Server]
    ) -> None:
        said = exchange(start_server(), LIVE[:-2] + END + LIVE, ends=False)

        assert statuses(said) == [200]

    def test_an_upgrade_that_is_not_ours_is_ignored_and_what_follows_is_read(
        self, start_server: Callable[..., Server]
    ) -> None:
        """As Java's client asks for HTTP/2, with or without a body (RFC 9110, 7.8)."""
        h2c = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
        get = LIVE[:-2] + h2c + b"\r\n"
        post = POST + h2c + b"Content-Length: %d\r\n\r\n" % len(ORDER) + ORDER
        last = LIVE[:-2] + END

        assert statuses(exchange(start_server(), get + post + last, ends=False)) == [200, 401, 200]


class TestHttp10:
    def test_a_stream_is_sent_without_chunks(
        self, start_server: Callable[..., Server], order: Order
    ) -> None:
        """As nginx asks without `proxy_http_version` (RFC 9112, 6.1)."""
        ref = order.ref
        token = settings.ORDERCAST_SERVICE_TOKEN
        head = (
            f"GET /api/orders/{ref}/stream HTTP/1.0\r\nHost: 127.0.0.1\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", start_server().port), 10) as client:
            client.sendall(head)
            said = read_until(client, b"\n\n")

        answer, _, body = said.partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in answer.lower()
        assert b"connection: close" in answer.lower()
        assert body.startswith((b"event:", b"id:", b"data:", b"retry:", b":"))

    def test_an_answer_with_a_length_has_it_and_ends(
        self, start_server: Callable[..., Server]
    ) -> None:
        said = exchange(
            start_server(),
            b"GET /health/live HTTP/1.0\r\nExpect: 100-continue\r\n" + HOST + b"\r\n",
            ends=False,
        )

        assert statuses(said) == [200]
        assert said.endswith(b"\r\n\r\nalive\n")
        assert b"transfer-encoding" not in said.lower()
