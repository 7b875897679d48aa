"""A connection to Valkey that can be cut into pieces, spoilt, broken, and wrapped in TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.waiting import eventually_async


@dataclass
class Relay:
    """Forwards `127.0.0.1:port` to `target`. What comes back from there is passed on in pieces of `piece` bytes."""

    target: int
    piece: int = 65_536
    port: int = 0
    connections: int = 0
    _clients: set[asyncio.StreamWriter] = field(default_factory=set)

    def say(self, data: bytes) -> None:
        """Tell every client something that Valkey never said."""
        for client in self._clients:
            client.write(data)

    async def take(self, reader: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        self.connections += 1
        server_reader, server = await asyncio.open_connection("127.0.0.1", self.target)
        self._clients.add(client)
        try:
            await asyncio.gather(
                self._forward(reader, server, 65_536),
                self._forward(server_reader, client, self.piece),
            )
        except OSError:
            pass  # one side is gone, and takes the other with it
        finally:
            self._clients.discard(client)
            server.transport.abort()
            client.transport.abort()

    async def _forward(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, piece: int
    ) -> None:
        while data := await source.read(65_536):
            for start in range(0, len(data), piece):
                sink.write(data[start : start + piece])
                await sink.drain()
                # Or the pieces would lie in one buffer, and be read as one.
                await asyncio.sleep(0)
        sink.close()

    async def close(self) -> None:
        for client in self._clients:
            client.transport.abort()
        await eventually_async(lambda: not self._clients)


@asynccontextmanager
async def relay(
    target: int, *, piece: int = 65_536, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Relay]:
    made = Relay(target, piece)
    server = await asyncio.start_server(made.take, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        await made.close()
