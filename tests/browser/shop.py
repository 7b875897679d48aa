"""A shop's own web site, served at an origin that is not Ordercast's."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

Answer = str | Callable[[], str]


class Shop:
    """Serves `pages`, by path: HTML, or what makes the answer when it is asked for."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.policy = ""  # the Content-Security-Policy of all its pages
        pages, shop = self.pages, self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = pages.get(urlsplit(self.path).path)
                body = (found() if callable(found) else found or "").encode()
                self.send_response(200 if found is not None else 204)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                if shop.policy:
                    self.send_header("Content-Security-Policy", shop.policy)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 — the base's name
                """Its pages are nobody's news."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def origin(self) -> str:
        # Chromium takes every name below localhost for this machine.
        return f"http://shop.localhost:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
