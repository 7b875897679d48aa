"""What is private or undocumented of Celery and kombu stands here, and nowhere else (`docs/internals.md`)."""

from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer


class Consumer(CeleryConsumer):
    """What a worker reads the broker with. Nothing that the broker holds or answers ends it.

    Celery's own ends the worker at the first message that is no JSON, or has no headers. That one is taken off the
    queue already, so to connect anew is to go on after it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.channel_errors: tuple[type[Exception], ...] = (*self.channel_errors, Exception)
