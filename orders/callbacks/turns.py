"""Whose turn it is, among callbacks about one payment: a few at a time, so that a thousand of them, or one whose row
somebody has locked, leave threads and connections to all others.

Who has to wait holds neither. Once PostgreSQL says that the row cannot be had, all that wait for it are refused at
once: their senders come again. Limit: each process counts for itself, and payments of one order count apart.
"""

from collections import Counter, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextvars import ContextVar
from threading import Lock

from django.conf import settings
from django.http import HttpResponse

AT_ONCE = 2  # one that has the row, and the next
WAITING = 1_000  # for one payment; a callback is a few KB
PATIENCE = 4  # times the lock's timeout: 8 s by default, and providers wait for ten and more

# Whether whoever calls the view can wait by itself, without a thread.
may_be_late: ContextVar[bool] = ContextVar("may_be_late", default=False)

_running: Counter[Hashable] = Counter()
_waiting: "dict[Hashable, deque[Future[bool]]]" = {}
_lock = Lock()


def patience() -> float:
    """Seconds until who waits is refused."""
    return PATIENCE * settings.ORDERCAST_LOCK_TIMEOUT


class Turn:
    """A place in the line for `key`. Where `is_ours` is true, `give_back` has to follow."""

    def __init__(self, key: Hashable) -> None:
        self._key = key
        self.comes: Future[bool] = Future()
        with _lock:
            if _running[key] < AT_ONCE:
                _running[key] += 1
                self.comes.set_result(True)
            elif len(line := _waiting.setdefault(key, deque())) < WAITING:
                line.append(self.comes)
            else:
                self.comes.set_result(False)

    @property
    def is_decided(self) -> bool:
        return self.comes.done()

    def wait(self) -> None:
        """In a thread, until it is decided or `patience` is over."""
        try:
            self.comes.result(patience())
        except TimeoutError:
            self.comes.cancel()

    def is_ours(self) -> bool:
        """Decided now, if it was not before: then it is not."""
        return not self.comes.cancel() and self.comes.result()

    def give_back(self) -> None:
        with _lock:
            line = _waiting.get(self._key, ())
            while line:
                following = line.popleft()
                if following.set_running_or_notify_cancel():
                    following.set_result(True)
                    return
            _waiting.pop(self._key, None)
            _running[self._key] -= 1
            if not _running[self._key]:
                del _running[self._key]

    def leave(self) -> None:
        """Whoever waited has gone."""
        if self.is_ours():
            self.give_back()

    def refuse_waiting(self) -> None:
        """Those behind would only wait as long, and as much in vain."""
        with _lock:
            line = _waiting.pop(self._key, ())
        for each in line:
            if each.set_running_or_notify_cancel():
                each.set_result(False)


class Late(HttpResponse):
    """Instead of an answer, which `work` makes once `turn` has come or was refused."""

    def __init__(self, turn: Turn, work: Callable[[], HttpResponse]) -> None:
        # No page, which would be replaced, and logged by nobody: it is no answer yet.
        super().__init__(status=503, content_type="text/plain")
        self._has_been_logged = True
        self.turn, self._work = turn, work

    def finish(self) -> None:
        """Become the answer, with the headers that this one has been given meanwhile."""
        answer = self._work()
        self.status_code, self.content = answer.status_code, answer.content
        for name, value in answer.headers.items():
            self.headers[name] = value
        self.headers["Content-Length"] = str(len(self.content))
