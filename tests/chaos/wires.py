"""Lines that break: a TCP proxy for each page, and one in front of both web processes.

The one of `tests.proxy` has two threads for each connection; hundreds of pages need one that lives on a loop.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

Targets = Callable[
    [], Sequence[int | str]
]  # ports of this machine, or paths of sockets, the best first


class Wire:
    """Forwards what is opened to `port` to the first of `targets()` that takes it."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flows = asyncio.Event()
        self._flows.set()
        self._swallows = False
        self._answers_404 = False
        self.port = 0

    async def open(self) -> None:
        """Listen; at the same address again after `close`."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Refuse what comes, and reset what is open."""
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()

    def cut(self) -> None:
        """Reset everything that is open; what is opened from now on works."""
        self._swallows = False
        self._flows.set()
        for writer in list(self._writers):
            writer.transport.abort()

    def swallow(self) -> None:
        """A black hole, until it is cut: nothing is closed, and nothing arrives."""
        self._swallows = True

    def lose_target(self) -> None:
        """Until `find_target`, answer everything with 404 in plain text, as a proxy with nothing behind it."""
        self._answers_404 = True
        self.cut()

    def find_target(self) -> None:
        self._answers_404 = False

    def hold(self) -> None:
        """Stop forwarding, until `flow`; then everything arrives, late."""
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        if self._answers_404:
            await _answer_404(reader, writer)
            self._writers.discard(writer)
            return
        for target in self._targets():
            with suppress(OSError):
                far_reader, far_writer = await _connect(target)
                break
        else:
            writer.transport.abort()
            self._writers.discard(writer)
            return
        self._writers.add(far_writer)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self._flows.wait()
                if not self._swallows:
                    sink.write(data)
                    await sink.drain()
        except OSError:
            sink.transport.abort()  # a reset is passed on as one
        finally:
            self._writers.discard(sink)
            sink.close()


async def _connect(target: int | str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(target, str):
        return await asyncio.open_unix_connection(target)
    return await asyncio.open_connection("127.0.0.1", target)


async def _answer_404(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 19\r\n"
            b"Connection: close\r\n\r\n404 page not found\n"
        )
        await writer.drain()
    writer.close()
