"""A real HTTP server that takes callbacks, for tests that look at what a provider sends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import eventually


@dataclass(frozen=True)
class Received:
    headers: dict[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """`answer` gives the status for each callback, `says` the body; replace them to refuse some."""

    url: str
    received: list[Received] = field(default_factory=list)
    answer: Callable[[Received], int] = lambda _received: 200
    says: bytes = b""

    def wait_for(self, count: int, timeout: float = 8.0) -> list[Received]:
        """The callbacks so far, once there are at least `count`."""
        eventually(
            lambda: len(self.received) >= count, timeout, saying=f"{count} callbacks had come"
        )
        return list(self.received)


@contextmanager
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            came = Received(headers, self.rfile.read(length))
            taker.received.append(came)
            says = taker.says  # once: a test may change it meanwhile
            self.send_response(taker.answer(came))
            self.send_header("content-length", str(len(says)))
            self.end_headers()
            self.wfile.write(says)

        def log_message(self, *_arguments: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    taker = Receiver(f"http://127.0.0.1:{server.server_address[1]}/callbacks/")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield taker
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
