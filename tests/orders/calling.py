"""The API as another program calls it: with a token, over Django's own request handling, CSRF check included."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from orders.models import Order


def call(
    method: str,
    path: str,
    body: object = None,
    *,
    token: str | None = "",
    client: Client | None = None,
    **headers: Any,
) -> Any:
    """Call `/api/<path>` with the service token, another, or none (`token=None`); header names are written with `_`."""
    if token is not None:
        headers["Authorization"] = f"Bearer {token or settings.ORDERCAST_SERVICE_TOKEN}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    ask = getattr(client or Client(enforce_csrf_checks=True), method)
    if method == "get":
        return ask(f"/api/{path}", headers=named)
    return ask(f"/api/{path}", body, content_type="application/json", headers=named)


def make(body: object = None, **headers: Any) -> Any:
    """`POST /api/orders`."""
    ordinary = {"amount": 1_250, "currency": "EUR"}
    return call("post", "orders", ordinary if body is None else body, **headers)


def problem(answer: HttpResponse) -> tuple[int, str]:
    """The status and code of an answer that must be a problem as RFC 9457 describes it."""
    assert answer["Content-Type"] == "application/problem+json"
    said: dict[str, Any] = answer.json()  # type: ignore[attr-defined]
    assert said["status"] == answer.status_code
    assert said["detail"]
    return answer.status_code, said["code"]


def at(order: Order, *more: str) -> str:
    return "/".join(["orders", order.ref, *more])
