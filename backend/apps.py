"""Puts the parts together once Django is ready."""

from django.apps import AppConfig


class BackendConfig(AppConfig):
    name = "backend"

    def ready(self) -> None:
        """Make the Celery application the one that `shared_task` enqueues to, in every process; register checks."""
        from backend import celery  # noqa: F401 — importing them does it
        from backend.config import system_checks  # noqa: F401 — importing them does it
