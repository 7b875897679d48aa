"""Beat's scheduler: django-celery-beat's, that clocks which differ or are set back do not stop."""

import logging
import time
from datetime import datetime, timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, connection

from workers.celery_internals import BeatEntry, BeatScheduler

log = logging.getLogger(__name__)

PAUSE = 1.0  # seconds until a broker or database that is unavailable is tried again
_DATABASE_AWAY = (OperationalError, InterfaceError)
AHEAD = timedelta(minutes=1)  # what another machine's clock may differ


class Entry(BeatEntry):
    """A periodic task that neither waits for a time that a wrong clock wrote down, nor expires by a worker's clock."""

    def __init__(self, model: Any, app: Any = None) -> None:
        super().__init__(model, app=app)
        self.last_run_at: datetime = model.last_run_at
        # A worker whose clock is ahead would discard every tick. A tick that is late or doubled does no harm.
        self.options.pop("expires", None)

    def is_due(self) -> Any:
        """`schedules.schedstate`: whether it is due, and in how many seconds to ask again."""
        now = self.now()
        if self.last_run_at > now + AHEAD:
            log.warning(
                "%r has its last run in the future (%s, clock skew), running it now",
                self.name,
                self.last_run_at,
            )
            self.last_run_at = self.model.last_run_at = now - timedelta(days=1)
        return super().is_due()


class Scheduler(BeatScheduler):
    """One that neither an answer of the broker nor a database that is away ends, also where it starts meanwhile."""

    Entry = Entry

    def setup_schedule(self) -> None:
        """Read it from the database, once that is there."""
        while True:
            try:
                return super().setup_schedule()  # type: ignore[no-any-return]
            except _DATABASE_AWAY as error:
                self._begin_anew(error)
                time.sleep(PAUSE)

    def tick(self, *args: Any, **kwargs: Any) -> Any:
        """The seconds until the next one."""
        try:
            # It connects where there is no connection yet; within a tick an error of that would lose a task's entry.
            self.producer  # noqa: B018
        except Exception as error:  # noqa: BLE001 — whatever a broker answers, beat goes on
            log.warning("broker unavailable, beat retries in %g s: %r", PAUSE, error)
            return PAUSE
        try:
            return super().tick(*args, **kwargs)
        except _DATABASE_AWAY as error:
            self._begin_anew(error)
            return PAUSE

    def _begin_anew(self, error: Exception) -> None:
        """Read the schedule whole once more, so that nothing is lost of what was being read or run."""
        log.warning("database unavailable, beat retries in %g s: %s", PAUSE, error)
        connection.close()
        self.read_anew()
