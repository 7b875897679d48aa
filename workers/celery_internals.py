"""What is private or undocumented of Celery and kombu stands here, and nowhere else (`docs/internals.md`)."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from celery import Celery, Task
from celery.utils import uuid
from celery.worker.consumer import Consumer as CeleryConsumer
from celery.worker.request import Request
from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry


class Consumer(CeleryConsumer):
    """What a worker reads the broker with. Nothing that the broker holds or answers ends it.

    Celery's own ends the worker at the first message that is no JSON, or has no headers. That one is taken off the
    queue already, so to connect anew is to go on after it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.channel_errors: tuple[type[Exception], ...] = (*self.channel_errors, Exception)


class InlineTask(Task[Any, Any]):
    """Runs in the thread that reads the broker, and not in the pool, so it must never block long.

    Errors are logged as any task's are.
    """

    Strategy = "workers.celery_internals:inline"


def inline(task: Any, app: Any, consumer: Any, **_options: Any) -> Callable[..., None]:
    """Celery's own strategy hands a message to the pool."""

    def handle(
        message: Any, _body: Any, ack: Any, reject: Any, _callbacks: Any, **_more: Any
    ) -> None:
        request = Request(
            message,
            on_ack=ack,
            on_reject=reject,
            app=app,
            hostname=consumer.hostname,
            connection_errors=consumer.connection_errors,
            task=task,
        )
        request.execute()

    return handle


class Enqueuer:
    """Sends tasks by one connection that it keeps. For one thread."""

    def __init__(self, app: Celery) -> None:
        self._amqp: Any = app.amqp
        self._producer = self._amqp.Producer(app.connection_for_write())

    def send(self, task: Any, arguments: tuple[Any, ...], headers: dict[str, Any]) -> None:
        """What `task.apply_async` does. Raises whatever the broker makes of it."""
        message = self._amqp.as_task_v2(
            uuid(), task.name, arguments, {}, ignore_result=True,
            # Or Celery would make a text of all arguments for each task, which nobody reads.
            argsrepr="…", kwargsrepr="{}",
        )  # fmt: skip
        self._amqp.send_task_message(
            self._producer, task.name, message, headers=headers, retry=False
        )


class BeatEntry(ModelEntry):  # type: ignore[misc] # django-celery-beat has no types
    """A periodic task, as django-celery-beat reads it from its row."""

    last_run_at: datetime

    def now(self) -> datetime:
        """By beat's own clock, as it writes down when a task last ran."""
        found: datetime = self._default_now()
        return found


class BeatScheduler(DatabaseScheduler):  # type: ignore[misc] # django-celery-beat has no types
    """django-celery-beat's, that can be told to begin anew."""

    def read_anew(self) -> None:
        """Read the schedule whole at the next look, and forget what was being read or run."""
        self._initial_read, self._heap = True, None
