"""Celery's side of things: one line each, primitives in. Each can be lost, doubled or late without harm."""

from typing import Any

from celery import shared_task

from realtime import publishing
from workers import comparing, forced, reconciler, vitals
from workers.at_once import AtOnce


@shared_task
def reconcile() -> None:
    forced.catch_up()
    vitals.note_tick(reconciler.tick())


@shared_task
def compare() -> None:
    comparing.compare()


@shared_task(base=AtOnce)
def announce(frames: list[list[Any]]) -> None:
    publishing.announce(frames)


@shared_task
def refresh(run_id: int) -> None:
    forced.carry_out(run_id)
