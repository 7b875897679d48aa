"""Celery's side of things: one line each, primitives in. Each can be lost, doubled or late without harm."""

from typing import Any

from celery import shared_task

from realtime.pubsub import publisher
from realtime.pubsub.names import Hint
from workers import announcer, comparing, provider_status, reconciler, refresh_jobs
from workers.celery_internals import InlineTask


@shared_task
def reconcile() -> None:
    refresh_jobs.catch_up()
    provider_status.note_tick(reconciler.tick())


@shared_task
def compare() -> None:
    comparing.compare()


@shared_task(base=InlineTask, bind=True)
def announce(self: Any, hints: list[list[Any]]) -> None:
    if not announcer.is_stale(self.request.get(announcer.SENT_AT)):
        publisher.announce(map(Hint.received, hints))


@shared_task
def refresh(run_id: int) -> None:
    refresh_jobs.carry_out(run_id)
