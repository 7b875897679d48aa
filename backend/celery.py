"""The Celery application: `celery -A backend worker --pool threads -Q ordercast`, and `celery -A backend beat`.

Tasks are hints and repairs; each can be lost, doubled or late. So a worker needs no result store and no
acknowledgement late enough to survive it; what it must do is come back by itself after Valkey did, with nothing in it.
"""

import os
import warnings
from functools import partial
from typing import Any

from celery import Celery
from celery.exceptions import SecurityWarning
from kombu import Connection, Exchange, Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

# It warns of root because of pickled messages; ours are JSON. Containers and `up` on a fresh machine are often root.
warnings.filterwarnings("ignore", category=SecurityWarning)


class Application(Celery):
    """Celery, that asks for a lost broker at least every five seconds; its own pauses grow to thirty."""

    def connection_for_read(self, *args: Any, **kwargs: Any) -> Connection:
        return _eager(super().connection_for_read(*args, **kwargs))

    def connection_for_write(self, *args: Any, **kwargs: Any) -> Connection:
        return _eager(super().connection_for_write(*args, **kwargs))


def _eager(connection: Connection) -> Connection:
    connection.ensure_connection = partial(connection.ensure_connection, interval_max=5)  # type: ignore[method-assign]
    return connection


app = Application("ordercast")
app.config_from_object("django.conf:settings", namespace="CELERY")
# Current is only this thread's; a web process enqueues from others, which would fall back on localhost's RabbitMQ.
app.set_default()
# Nothing is acknowledged: a task that is lost is a hint or a repair, and each acknowledgement two questions to Valkey.
_queue = app.conf.task_default_queue
app.conf.task_queues = [Queue(_queue, Exchange(_queue), routing_key=_queue, no_ack=True)]
app.autodiscover_tasks(["workers"])
