"""Celery's side of things: one line each, primitives in. Each can be lost, doubled or late without harm."""

from celery import shared_task

from workers import reconciler


@shared_task
def reconcile() -> None:
    reconciler.tick()
