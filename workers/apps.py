"""The workers app."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"

    def ready(self) -> None:
        """Listen to the journal, in every process that writes to it."""
        from workers import receivers

        receivers.connect()
