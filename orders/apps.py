"""The orders app."""

from django.apps import AppConfig


class OrdersConfig(AppConfig):
    name = "orders"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from orders import clock
        from orders.journal import writer
        from orders.security import audit

        clock.listen()
        writer.listen()
        audit.listen()
