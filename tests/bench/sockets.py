"""The load: thousands of WebSocket clients in one process, on epoll and with the least work for each frame.

Frames are counted by the arithmetic of their headers, with no object for each; a page whose `on_frame` is set hands
them on too. Limit: it understands what the servers here send (whole, unmasked frames), and is no client for others.
"""

import os
import resource
import select
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence

READ = 1 << 18  # bytes taken at once
HANDSHAKES_AT_ONCE = 200
PATIENCE = 180.0  # seconds that connecting may take, on a machine that is busy otherwise too
_PING, _CLOSE, _TEXT = 0x89, 0x88, 0x81
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: no TIME_WAIT is left behind

OnFrame = Callable[["Page", bytes], None]


class LoadError(Exception):
    """A server did not do its part: it refused, closed or fell silent."""


class Page:
    """One client. `ready`: what the frame holds by which it is joined (nothing: the upgrade itself). `hello`: what it
    says first."""

    __slots__ = (
        "frames", "hello", "is_ready", "is_upgraded", "key", "on_frame", "ready", "recv", "request", "rest", "sock",
    )  # fmt: skip

    def __init__(
        self, key: str, request: str, *, hello: str = "", ready: Sequence[bytes] = ()
    ) -> None:
        self.key, self.request, self.hello, self.ready = key, request, hello, ready
        self.rest = b""
        self.frames = 0  # since it was ready
        self.is_upgraded = self.is_ready = False
        self.on_frame: OnFrame | None = None
        self.sock: socket.socket
        self.recv: Callable[[int], bytes]

    def send(self, text: str) -> None:
        """A short text frame, masked as a client must (with zeros: nobody needs hiding on this machine)."""
        self._send(_TEXT, text.encode())

    def _send(self, kind: int, body: bytes) -> None:
        size = len(body)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        self.sock.send(bytes([kind]) + length + b"\0\0\0\0" + body)

    def control(self, data: bytes) -> None:
        """What a server asks of every client: a sign of life, or to go."""
        if data[0] == _PING:
            self._send(0x8A, data[2:])
        elif data[0] == _CLOSE:
            raise LoadError(f"a socket was closed by the server: {data[2:]!r}")

    def upgraded(self, answer: bytes) -> None:
        if not answer.startswith(b"HTTP/1.1 101"):
            raise LoadError(f"no WebSocket: {answer[:300]!r}")
        self.is_upgraded = True
        if self.hello:
            self.send(self.hello)


class Pages:
    """All the pages of a bench. Everything is driven by `pump`, from one thread."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.pages: list[Page] = []
        self.frames = 0  # of all pages that are ready
        self.ready = 0
        self._by_fd: dict[int, Page] = {}
        self._others: dict[int, Callable[[], None]] = {}
        self._poll = select.epoll()

    def open(
        self,
        pages: Iterable[Page],
        at_once: int = HANDSHAKES_AT_ONCE,
    ) -> None:
        """Connect all of them, at most `at_once` in the middle of it, and return when each is ready."""
        deadline = time.monotonic() + PATIENCE
        waiting = list(pages)
        target = self.ready + len(waiting)
        waiting.reverse()
        while self.ready < target:
            while waiting and target - self.ready - len(waiting) < at_once:
                self._connect(waiting.pop())
            self.pump(0.05)
            if time.monotonic() > deadline:
                raise LoadError(f"only {self.ready} of {target} pages were ready in {PATIENCE} s")

    def pump(self, timeout: float) -> None:
        """Take what has come; wait for it up to `timeout` seconds."""
        by_fd = self._by_fd
        for fd, _ in self._poll.poll(timeout, len(by_fd) or 1):
            page = by_fd.get(fd)
            if page is None:
                self._others[fd]()
                continue
            try:
                data = page.recv(READ)
            except BlockingIOError:
                continue
            if not data:
                raise LoadError("a socket was cut by the server")
            if page.rest:
                data = page.rest + data
                page.rest = b""
            if page.is_ready and page.on_frame is None:
                self._count(page, data)
            else:
                self._take(page, data)

    def watch(self, sock: socket.socket, read: Callable[[], None]) -> None:
        """Call `read` from `pump` whenever `sock` can be read."""
        self._others[sock.fileno()] = read
        self._poll.register(sock, select.EPOLLIN)

    def unwatch(self, sock: socket.socket) -> None:
        self._poll.unregister(sock)
        del self._others[sock.fileno()]

    def _count(self, page: Page, data: bytes) -> None:
        """The hot path: how many whole frames there are, and what is left of the last one."""
        start, end, count = 0, len(data), 0
        while end - start >= 4:
            size = data[start + 1]
            if size < 126:
                after = start + 2 + size
            elif size == 126:
                after = start + 4 + (data[start + 2] << 8) + data[start + 3]
            else:
                after = start + 10 + int.from_bytes(data[start + 2 : start + 10], "big")
            if after > end:
                break
            if size < 40:
                # No event is that short: it is a ping of the one kind or the other.
                self._short(page, data[start:after])
            else:
                count += 1
            start = after
        if start != end:
            page.rest = data[start:]
        page.frames += count
        self.frames += count

    def _take(self, page: Page, data: bytes) -> None:
        """The same with every frame looked at: before a page is ready, and where somebody wants them."""
        if not page.is_upgraded:
            head, found, data = data.partition(b"\r\n\r\n")
            if not found:
                page.rest = head
                return
            page.upgraded(head)
            if not page.ready:
                self._is_ready(page)
        while len(data) >= 2:
            size, at = data[1], 2
            if size >= 126:
                at = 4 if size == 126 else 10
                size = int.from_bytes(data[2:at], "big")
            if len(data) < at or len(data) < at + size:
                break
            self._frame(page, data[: at + size], at)
            data = data[at + size :]
        page.rest = data

    def _frame(self, page: Page, frame: bytes, at: int) -> None:
        if len(frame) < 42 and self._short(page, frame):
            return
        if not page.is_ready:
            if all(word in frame for word in page.ready):
                self._is_ready(page)
            return
        page.frames += 1
        self.frames += 1
        if page.on_frame is not None:
            page.on_frame(page, frame[at:])

    def _is_ready(self, page: Page) -> None:
        page.is_ready = True
        self.ready += 1

    def _short(self, page: Page, frame: bytes) -> bool:
        """Whether it was a ping, and was answered: WebSocket's own, Engine.IO's, or one of orders.v1."""
        if frame[0] != _TEXT:
            page.control(frame)
            return True
        if frame[2:] == b"2":
            page.send("3")
            return True
        return b'"ping"' in frame

    def _connect(self, page: Page) -> None:
        page.sock = socket.create_connection(("127.0.0.1", self.port), 10)
        page.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        page.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        page.sock.sendall(page.request.encode())
        page.sock.setblocking(False)
        page.recv = page.sock.recv
        fd = page.sock.fileno()
        self._by_fd[fd] = page
        self.pages.append(page)
        self._poll.register(fd, select.EPOLLIN)

    def close(self) -> None:
        for page in self.pages:
            page.sock.close()
        self._poll.close()
        self.pages, self._by_fd = [], {}


def upgrade(path: str, headers: Sequence[str] = ()) -> str:
    """The request that opens a WebSocket."""
    lines = [
        f"GET {path} HTTP/1.1", "Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13", *headers,
    ]  # fmt: skip
    return "\r\n".join([*lines, "", ""])


def raise_limit() -> int:
    """As many open files as this process may have; returns how many."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most if most != resource.RLIM_INFINITY else os.sysconf("SC_OPEN_MAX")
