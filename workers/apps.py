"""The workers app."""

from django.apps import AppConfig


class WorkersConfig(AppConfig):
    name = "workers"

    def ready(self) -> None:
        """Listen to the journal, in every process that writes to it, and tell the staff board how we are."""
        from realtime.board import components
        from workers import clock_skew, provider_status, receivers

        receivers.connect()
        clock_skew.listen()
        components.register(provider_status.parts)
