"""The workers app."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"

    def ready(self) -> None:
        """Listen to the journal, in every process that writes to it, and tell the staff board how we are."""
        from realtime import board_parts
        from workers import receivers, vitals

        receivers.connect()
        board_parts.register(vitals.parts)
