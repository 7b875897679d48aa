"""From a provider's callback to the frame on a page: at a low rate, and as many a second as are kept up with."""

import json
import secrets
import socket
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from standardwebhooks import Webhook

from tests.bench.benches import Figures, Latencies, Size, standing
from tests.bench.entrants import Entrant, Ours
from tests.bench.machine import WEBHOOK_SECRET
from tests.bench.sockets import LoadError, Pages

LOW_RATE = 20  # callbacks a second
PATIENCE = 10.0  # seconds without a frame, while some are due
_STEPS: tuple[dict[str, str | int], ...] = ({"status": "processing"}, {"status": "authorised", "authorised": 89_900},
          {"status": "captured", "authorised": 89_900, "captured": 89_900})  # fmt: skip


def journey(entrant: Entrant, size: Size) -> Figures:
    """Sockets watch an order each, and each order moves three times, by a callback each time."""
    entrant.hears_callbacks = True
    with standing(entrant, size.sockets) as pages:
        pages.open(entrant.page(ref) for ref in entrant.orders)
        return _Journey(entrant, pages, size).run()


class _Caller:
    """One kept HTTP connection of the provider's. uvicorn closes it after five idle seconds; then it connects anew."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages
        self._sock: socket.socket | None = None
        self._answer = b""
        self.is_free = True

    def post(self, request: bytes) -> None:
        if self._sock is None:
            self._sock = socket.create_connection(("127.0.0.1", self._pages.port))
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pages.watch(self._sock, self._read)
        self.is_free = False
        self._sock.sendall(request)

    def _read(self) -> None:
        assert self._sock
        data = self._sock.recv(1 << 16)
        if not data:
            self.close()
            if not self.is_free:
                raise LoadError("a callback was cut off")
            return
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].split()
        if not found or (len(body) < int(length[0]) if length else not body.endswith(b"0\r\n\r\n")):
            return
        if b" 200 " not in head[:16]:
            raise LoadError(f"a callback was refused: {self._answer[:300]!r}")
        self._answer, self.is_free = b"", True

    def close(self) -> None:
        if self._sock is not None:
            self._pages.unwatch(self._sock)
            self._sock.close()
            self._sock = None


class _Journey:
    def __init__(self, entrant: Entrant, pages: Pages, size: Size) -> None:
        self._entrant, self._pages, self._size = entrant, pages, size
        # An order's next move must not overtake the one before.
        self._window = min(size.window, len(entrant.orders) // 2)
        self._callers: list[_Caller] = []
        self._moves = self._all_moves()
        self._latencies = Latencies()
        self._sent = 0
        self._is_over = False
        for page in pages.pages:
            page.on_frame = self._latencies.on_frame

    def run(self) -> Figures:
        try:
            self._closed_loop(self._size.warm_up)
            self._latencies.seconds.clear()
            self._at_rate(LOW_RATE, self._size.seconds)
            figures = self._latencies.figures()
            rate = self._closed_loop(self._size.seconds)
        finally:
            self._hang_up()
        return {**figures, "callbacks_per_s": rate}

    def _all_moves(self) -> Iterator[tuple[str, int]]:
        for step in range(len(_STEPS)):
            for ref in self._entrant.orders:
                yield ref, step

    def _at_rate(self, rate: float, seconds: float) -> None:
        """An open loop: a callback every so often, whatever became of the one before."""
        began = time.perf_counter()
        for number in range(int(rate * seconds)):
            while (left := began + number / rate - time.perf_counter()) > 0:
                self._pages.pump(left)
            self._post()
        self._await(0)

    def _closed_loop(self, seconds: float) -> float:
        """Callbacks a second when as many as the window holds are always on their way to a page."""
        self._hang_up()  # those that were idle are about to be closed by the server, perhaps with a callback on its way
        began, before = time.perf_counter(), self._pages.frames
        while time.perf_counter() < began + seconds:
            while self._sent - self._pages.frames < self._window and self._post():
                pass
            if self._is_over:
                break  # each order has made its three moves: what was done so far is what is told
            self._pages.pump(0.05)
        self._await(0)
        return (self._pages.frames - before) / (time.perf_counter() - began)

    def _await(self, left: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while self._sent - self._pages.frames > left or not all(c.is_free for c in self._callers):
            self._pages.pump(0.05)
            if time.monotonic() > deadline:
                missing = self._sent - self._pages.frames
                raise LoadError(f"{missing} callbacks did not reach their page in {PATIENCE} s")

    def _hang_up(self) -> None:
        for caller in self._callers:
            caller.close()
        self._callers.clear()

    def _free(self) -> _Caller:
        for caller in self._callers:
            if caller.is_free:
                return caller
        self._callers.append(_Caller(self._pages))
        return self._callers[-1]

    def _post(self) -> bool:
        """Returns whether there was a move left."""
        move = next(self._moves, None)
        if move is None:
            self._is_over = True
            return False
        ref, step = move
        caller = self._free()
        request = _signed(ref, step) if isinstance(self._entrant, Ours) else _bare(ref, step)
        self._latencies.sent[ref, self._entrant.head + step + 1] = time.perf_counter()
        caller.post(request)
        self._sent += 1
        return True


def _signed(ref: str, step: int) -> bytes:
    """A callback of the house provider."""
    now, event_id = datetime.now(UTC), f"msg_{secrets.token_hex(8)}"
    payment = {
        "merchant_ref": ref, "provider_ref": f"pay_{ref}", "amount": 89_900, "currency": "EUR",
        **_STEPS[step],
    }  # fmt: skip
    callback = {"type": "payment.updated", "occurred_at": now.isoformat(), "data": payment}
    body = json.dumps(callback)
    signature = Webhook(WEBHOOK_SECRET).sign(event_id, now, body)
    headers = [
        f"webhook-id: {event_id}", f"webhook-timestamp: {int(now.timestamp())}",
        f"webhook-signature: {signature}",
    ]  # fmt: skip
    return _post("/callbacks/house/", body, headers)


def _bare(ref: str, step: int) -> bytes:
    """What the tutorial's view takes."""
    body = json.dumps({"order": ref, "version": step + 1, "state": _STEPS[step]["status"]})
    return _post("/callback/", body, [])


def _post(path: str, body: str, headers: list[str]) -> bytes:
    lines = [
        f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json",
        f"Content-Length: {len(body)}", *headers,
    ]  # fmt: skip
    return ("\r\n".join([*lines, "", ""]) + body).encode()
