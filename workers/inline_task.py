"""Inline tasks: run by the thread that receives them, and not in the worker's pool."""

from collections.abc import Callable
from typing import Any

from celery import Task
from celery.worker.request import Request


class InlineTask(Task[Any, Any]):
    """Runs in the thread that reads the broker, so it must never block long. Errors are logged as any task's are."""

    Strategy = "workers.inline_task:strategy"


def strategy(task: Any, app: Any, consumer: Any, **_options: Any) -> Callable[..., None]:
    """Celery's own hands a message to the pool."""

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
        request.execute()  # unless it has expired

    return handle
