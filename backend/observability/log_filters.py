"""What libraries say too often or at too great length, said once and in a line.

Celery, its beat and Channels each meet an outage of Valkey by themselves, and tell of it with a traceback at each try.
What is wrong stands in one line; what is right is that they go on trying.
"""

import logging
import time

import redis
from celery.exceptions import OperationalError

from orders.database import UNAVAILABLE

_AWAY = (redis.ConnectionError, redis.TimeoutError, OperationalError, OSError, *UNAVAILABLE)
_LIBRARIES = ("celery", "kombu", "channels", "channels_redis", "django_celery_beat")
PAUSE = 10.0  # seconds in which the same is said once


class Announcements(logging.Filter):
    """Celery's two lines for each task `announce`: what it announces is said in one of ours, with the events' ids."""

    def filter(self, record: logging.LogRecord) -> bool:
        task = getattr(record, "data", None)
        is_one = isinstance(task, dict) and task.get("name") == "workers.tasks.announce"
        return not is_one or record.levelno > logging.INFO


class Outages(logging.Filter):
    """An outage that a library tells of becomes one line without a traceback, the same one at most every `PAUSE`."""

    def __init__(self) -> None:
        super().__init__()
        self._said_at: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if record.name.split(".")[0] not in _LIBRARIES or not _is_outage(error):
            return True
        said, now = record.getMessage().partition("\n")[0], time.monotonic()
        if now < self._said_at.get(said, float("-inf")) + PAUSE:
            return False
        self._said_at = {k: at for k, at in self._said_at.items() if at + PAUSE > now} | {said: now}
        # An error's words stand in the message as a rule; where they do not, they are what is wrong.
        record.msg, record.args = "%s", (said if str(error) in said else f"{said} {error!r}",)
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.exc_info = record.exc_text = None
        return True


class ClientErrors(logging.Filter):
    """What Django refuses as suspicious is answered 400, and a line without a traceback: a client can order any number
    of them."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security"):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = record.exc_text = None
        return True


def _is_outage(error: BaseException | None) -> bool:
    """Also one that a library has wrapped in an error of its own."""
    while error is not None:
        if isinstance(error, _AWAY):
            return True
        error = error.__cause__ or error.__context__
    return False
