"""What ASGI does not offer: to reach a socket that cannot be written, to drive a send by hand, and to write a frame
that is encoded already.

ASGI's `send` waits while the client reads nothing, also with a close. Here the close is put behind what the server
already holds for that client, and the connection is cut when even that does not leave. Knows uvicorn's two
protocols; under another server the connection is left to that server's own timeouts.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import OPEN

from realtime.protocol.frames import Message

Send = Callable[[Message], Awaitable[None]]


class Resumed:
    """Finishes a coroutine that was started by hand and yielded `waiting`, inside whatever task awaits this.

    The future still carries the mark that it was yielded and not yet waited for, so the task accepts it as its own.
    """

    __slots__ = ("_coroutine", "_waiting")

    def __init__(self, coroutine: Coroutine[Any, Any, None], waiting: Any) -> None:
        self._coroutine, self._waiting = coroutine, waiting

    def __await__(self) -> Generator[Any, Any, None]:
        waiting = self._waiting
        while True:
            try:
                value = yield waiting
            except BaseException as error:  # noqa: BLE001 — a cancellation is the coroutine's to handle
                step = self._step(self._coroutine.throw, error)
            else:
                step = self._step(self._coroutine.send, value)
            if step is _DONE:
                return
            waiting = step

    @staticmethod
    def _step(go: Callable[[Any], Any], value: Any) -> Any:
        try:
            return go(value)
        except StopIteration:
            return _DONE


_DONE = object()
knows_server = True  # not where the server is of a version whose insides nobody has tried


def takes_whole_frames(send: Send) -> Any:
    """The server's protocol object, if `try_write` may be used on it.

    None under another server than uvicorn with websockets-sansio, and where frames are compressed for each socket.
    """
    protocol: Any = getattr(send, "__self__", None)
    if (
        not knows_server
        or not isinstance(protocol, WebSocketsSansIOProtocol)
        or protocol.conn.extensions
    ):
        return None
    return protocol


def try_write(protocol: Any, whole: bytes) -> bool:
    """Write a frame's bytes if `send` would write it now, by the very conditions that uvicorn's own `send` asks for.

    False: nothing is written, and the frame has to go through `send`.
    """
    if (
        protocol.writable.is_set()
        and protocol.handshake_complete
        and not (protocol.disconnected or protocol.close_sent)
        and protocol.conn.state is OPEN
    ):
        protocol.transport.write(whole)
        return True
    return False


def unblock(send: Send) -> bool:
    """Let the next write go into the server's buffer although the client reads nothing. Says whether that worked."""
    protocol = getattr(send, "__self__", None)
    writable = getattr(protocol, "writable", None)
    flow = getattr(protocol, "flow", None)
    if writable is not None:
        writable.set()
    elif flow is not None:
        flow.resume_writing()
    return writable is not None or flow is not None


def abort(send: Send) -> None:
    """Cut the connection now, dropping what is still buffered for it."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
