"""Short words for talking with the provider of the fixture `provider`."""

from typing import Any

from orders.commands import provider_calls
from orders.commands.refresh import refresh_order
from orders.models import Order, Payment, PaymentCheck
from tests.builders import API, an_order
from tests.sandbox import SandboxProcess


def start(order: Order, mode: str = "callback", **more: Any) -> Payment:
    return provider_calls.start_payment(order.ref, mode=mode, cause=API, **more)


def paid(total: int = 1_000) -> tuple[Order, Payment]:
    order = an_order(total)
    payment = start(order, "sync")
    order.refresh_from_db()
    assert order.state == "paid"
    return order, payment


def refresh(order: Order) -> list[str]:
    found = [result.found for result in refresh_order(order.ref, cause=API)]
    order.refresh_from_db()
    return found


def looks() -> list[str]:
    return list(PaymentCheck.objects.order_by("pk").values_list("found", flat=True))


def theirs(provider: SandboxProcess, payment: Payment) -> Any:
    """The payment as the provider has it."""
    return provider.control("GET", f"/v1/payments?merchant_ref={payment.ref}")


def creates(provider: SandboxProcess) -> int:
    return int(provider.control("GET", "calls").get("create", 0))
