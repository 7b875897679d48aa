"""A TCP proxy that can stop forwarding without closing anything, as a broken network does."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Proxy:
    """Forwards `127.0.0.1:port` to `target`. While `is_black_hole`, it accepts and reads, and passes nothing on."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self._heals = 0
        self.port: int = self._listener.getsockname()[1]
        self.is_black_hole = False

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def heal(self) -> None:
        """Forward what is opened from now on. What was open stays dead, as after a firewall has forgotten it."""
        self._heals += 1
        self.is_black_hole = False

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                self._connect(client)

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
