"""`GET /board/stream`: says to each open board that something has changed, at most once a second.

Server-sent events beside the orders' own streams, for a board is no stream of events: nobody needs the figures of ten
seconds ago, so there is no cursor and nothing to catch up. It asks PostgreSQL, and only while somebody watches; Valkey
and the workers may be away. Limit: the log-in behind an open board is looked at every `ACCESS_CHECK` seconds.
"""

import asyncio
import logging
import time
from collections import Counter
from typing import Any, Self
from weakref import WeakKeyDictionary

from django.conf import settings
from django.http import parse_cookie

from realtime.access import origins, sessions
from realtime.board.board import BoardState, board
from realtime.board.views import may_look
from realtime.hub import local, raw_send
from realtime.protocol.http import EVENT_STREAM, until_disconnect
from realtime.runtime.database_threads import PASSING_ERRORS, DatabaseThreads
from realtime.runtime.supervisor import Supervisor

logger = logging.getLogger(__name__)

PATH = "/board/stream"
EVERY = 1.0  # seconds between two looks
ACCESS_CHECK = 3.0
PER_SESSION = 20  # boards that one log-in may have open in one process: each asks now and then whether it still may
WRITE = 10.0  # a client that reads nothing for so long is cut
RETRY = b"retry: 2000\n\n"  # ms until a browser whose stream has ended comes back


class Watch:
    """Looks each second while anybody waits, and wakes those who do when there is something new."""

    def __init__(self) -> None:
        self._threads = DatabaseThreads("board", 1)
        self._supervisor = Supervisor()
        self._changed = asyncio.Condition()
        self._watchers = 0
        self._looking: asyncio.Task[Any] | None = None
        self.version = 0

    async def __aenter__(self) -> Self:
        self._watchers += 1
        if self._looking is None or self._looking.done():
            self._looking = self._supervisor.spawn(self._look_on(), "board")
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._watchers -= 1

    async def after(self, version: int, timeout: float) -> int:  # noqa: ASYNC109 — no change is an answer too
        """The newest version once it is above `version`, or after `timeout` seconds whatever it is."""
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(lambda: self.version > version)
        except TimeoutError:
            pass
        return self.version

    async def _look_on(self) -> None:
        seen: BoardState | None = None
        while self._watchers:
            try:
                look = await self._threads.run(board.look)
            except PASSING_ERRORS as error:
                logger.warning("board: database unavailable: %s", error)
            else:
                if seen is None or look.essence != seen.essence:
                    seen = look
                    self.version += 1
                    async with self._changed:
                        self._changed.notify_all()
            await asyncio.sleep(EVERY)


_threads = DatabaseThreads("board-access", 1)
_open: Counter[str] = Counter()  # boards by session
_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()


def _running() -> Watch:
    """One for each event loop, however many boards are open."""
    loop = asyncio.get_running_loop()
    if loop not in _watches:
        _watches[loop] = Watch()
    return _watches[loop]


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """For `PATH`. 401 without a log-in of staff who may see the board; a foreign page's cookies do not count.

    429 where the log-in has as many open as it may; 503 while the database is away, which alone knows who somebody is.
    """
    headers = origins.decoded(scope["headers"])
    cookies = parse_cookie(headers.get(b"cookie", ""))
    session = cookies.get(settings.SESSION_COOKIE_NAME, "")
    try:
        is_let_in = (
            scope["method"] == "GET" and origins.is_own(headers) and await _may_look(session)
        )
    except PASSING_ERRORS:
        await _refuse(send, 503, [(b"retry-after", b"2")])
        return
    if not is_let_in:
        await _refuse(send, 401, [])
        return
    if _open[session] >= PER_SESSION:
        await _refuse(send, 429, [(b"retry-after", b"30")])
        return
    _open[session] += 1
    try:
        await _serve(receive, send, session)
    finally:
        _open[session] -= 1
        if not _open[session]:
            del _open[session]


async def _serve(receive: Any, send: Any, session: str) -> None:
    leaving = asyncio.ensure_future(until_disconnect(receive))
    streaming = asyncio.ensure_future(_stream(send, session))
    try:
        await asyncio.wait({leaving, streaming}, return_when=asyncio.FIRST_COMPLETED)
        if streaming.done() and not streaming.result():
            await leaving  # to return before that would be an answer that was not completed
    finally:
        leaving.cancel()
        streaming.cancel()


async def _stream(send: Any, session: str) -> bool:
    """False: the client has read nothing, and was cut."""
    try:
        await _write_changes(send, session)
    except TimeoutError:
        raw_send.abort(send)
        return False
    return True


async def _write_changes(send: Any, session: str) -> None:
    async with _running() as watch:
        version, looked_at = 0, time.monotonic()
        await send({"type": "http.response.start", "status": 200, "headers": list(EVENT_STREAM)})
        await _write(send, RETRY)
        while not local.running().is_draining:
            if time.monotonic() - looked_at > ACCESS_CHECK:
                looked_at = time.monotonic()
                if not await _may_still_look(session):
                    break
            newest = await watch.after(version, ACCESS_CHECK)
            said = b"event: changed\ndata: %d\n\n" % newest if newest != version else b":\n\n"
            version = newest
            await _write(send, said)
        await send({"type": "http.response.body", "body": b""})


async def _write(send: Any, body: bytes) -> None:
    async with asyncio.timeout(WRITE):
        await send({"type": "http.response.body", "body": body, "more_body": True})


async def _refuse(send: Any, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _may_look(session: str) -> bool:
    return bool(session) and await _threads.run(_is_staff, session)


async def _may_still_look(session: str) -> bool:
    """While the database is away nobody is sent away: nothing new can be read then either."""
    try:
        return await _may_look(session)
    except PASSING_ERRORS:
        return True


def _is_staff(session_key: str) -> bool:
    user = sessions.user_of(session_key)
    return user.is_authenticated and may_look(user)
