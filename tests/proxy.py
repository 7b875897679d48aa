"""A TCP proxy that can stop forwarding without closing anything, as a broken network does, or answer by itself."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Proxy:
    """Forwards `127.0.0.1:port` to `target`. While `is_black_hole`, it accepts and reads, and passes nothing on.

    Between `answer_itself` and `heal` every request gets one and the same answer, as from an ingress whose service is
    being replaced; `requests` are the first lines of what it answered.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._heals = 0
        self.port: int = self._listener.getsockname()[1]
        self.is_black_hole = False
        self.requests: list[str] = []
        self._answer = b""

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _close([self._listener, *self._sockets])

    def heal(self) -> None:
        """Forward what is opened from now on. What was open stays dead, as after a firewall has forgotten it."""
        self._heals += 1
        self.is_black_hole = False
        self._answer = b""

    def answer_itself(self, answer: bytes) -> None:
        """Cut what is open, and answer whatever is asked from now on."""
        self._answer = answer
        sockets, self._sockets = self._sockets, []
        _close(sockets)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                if self._answer:
                    threading.Thread(target=self._refuse, args=(client,), daemon=True).start()
                else:
                    self._connect(client)

    def _refuse(self, client: socket.socket) -> None:
        with suppress(OSError):
            head = client.recv(65536)
            if head:
                self.requests.append(head.split(b"\r\n")[0].decode())
                client.sendall(self._answer)
                client.shutdown(socket.SHUT_RDWR)
        client.close()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        self._sockets.append(server)
        for source, sink in ((client, server), (server, client)):
            threading.Thread(
                target=self._pump, args=(source, sink, self._heals), daemon=True
            ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, born: int) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if born == self._heals and not self.is_black_hole:
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)


def _close(sockets: list[socket.socket]) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()
