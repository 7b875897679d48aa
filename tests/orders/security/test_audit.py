"""Who did what, from where, and why: as rows, and in the log."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from django.db import Error, connection, transaction
from django.test import Client
from pytest_django import Settings

from backend.observability import logging_config
from orders import access
from orders.domain.cause import Cause, Source
from orders.models import AuditEntry
from orders.security import audit
from realtime.access import log_redaction
from tests.builders import an_order
from tests.people import SERVICE, UNKNOWN

pytestmark = pytest.mark.usefixtures("database")


def entries() -> list[tuple[str, ...]]:
    return list(
        AuditEntry.objects.order_by("pk").values_list(
            "action", "order", "actor", "source", "outcome"
        )
    )


def test_a_services_write_is_noted_with_where_it_came_from_and_why(
    bearer: Callable[[str], Client],
) -> None:
    ref = an_order().ref
    token = access.issue_service_token("billing", ["orders:write"])
    with structlog.contextvars.bound_contextvars(address="192.0.2.7", request_id="abc-12345"):
        bearer(token).post(
            f"/api/orders/{ref}/cancel", {"reason": "out of stock"}, "application/json"
        )

    (entry,) = AuditEntry.objects.all()
    assert entries() == [("order.cancel", ref, "billing", "api", "done")]
    assert (entry.reason, entry.address, entry.request_id) == (
        "out of stock",
        "192.0.2.7",
        "abc-12345",
    )


def test_what_is_refused_is_noted_too(bearer: Callable[[str], Client]) -> None:
    ref = an_order().ref
    reader = bearer(access.issue_service_token("reader", ["orders:read"]))
    writer = bearer(SERVICE)

    reader.post(f"/api/orders/{ref}/cancel", {}, "application/json")
    writer.post(f"/api/orders/{UNKNOWN}/cancel", {}, "application/json")
    writer.post(f"/api/orders/{ref}/refunds", {}, "application/json")

    assert entries() == [
        ("orders:write", ref, "reader", "api", "forbidden"),
        ("orders:write", UNKNOWN, "service", "api", "order_not_found"),
        ("order.refund", ref, "service", "api", "illegal_move"),
    ]


def test_staff_who_act_in_the_admin_are_noted_by_name(
    user: Callable[..., Any],
) -> None:
    order = an_order()
    old = access.read_token(access.issue_grant([order.ref]))
    client = Client()
    client.force_login(user("rosa", "view_order", "change_order", is_staff=True))

    client.post(
        "/admin/orders/order/",
        {
            "action": "revoke_links",
            "_selected_action": [order.pk],
            "confirm": "1",
            "reason": "leaked",
        },
    )

    assert entries() == [("admin_revoke_links", order.ref, "rosa", "staff", "done")]
    new = access.read_token(access.issue_grant([order.ref]))
    assert access.invalidated([old, new]) == {old: access.Invalidation.REVOKED}


@pytest.mark.parametrize(
    ("name", "fields", "source"),
    [("rosa", {"is_staff": True}, "staff"), ("ada", {}, "api")],
    ids=["staff", "a customer"],
)
def test_who_pays_on_a_page_is_noted_by_name(
    user: Callable[..., Any], name: str, fields: dict[str, bool], source: str, settings: Settings
) -> None:
    nobody = {**settings.ORDERCAST_PROVIDERS["house"], "url": "http://127.0.0.1:1"}
    settings.ORDERCAST_PROVIDERS = {"house": nobody}
    payer = user(name, **fields)
    order = an_order(customer_id=payer.pk)
    client = Client()
    client.force_login(payer)

    client.post(f"/orders/{order.ref}/")

    assert entries() == [("payment.start", order.ref, name, source, "done")]


def test_postgresql_itself_refuses_to_change_an_entry() -> None:
    audit.note("order.cancel", Cause(Source.API, "shop"))

    for sql in ("UPDATE orders_auditentry SET actor = 'nobody'", "DELETE FROM orders_auditentry"):
        with pytest.raises(Error, match="Cannot update or delete"), transaction.atomic():
            connection.cursor().execute(sql)


def lines_of(style: str, write: Callable[[], object]) -> str:
    """What our formatter makes of the records that `write` logs."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign, assignment]
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        write()
    finally:
        root.removeHandler(handler)
    made = logging_config.formatter(style)
    return "\n".join(made.format(record) for record in records)


def test_one_id_finds_the_event_and_the_request_that_made_it() -> None:
    with structlog.contextvars.bound_contextvars(request_id="abc-12345"):
        written = lines_of("json", an_order)

    (line,) = [json.loads(each) for each in written.splitlines() if "recorded" in each]
    assert (line["request_id"], line["message"], line["level"]) == (
        "abc-12345", "recorded order.created", "info"
    )  # fmt: skip
    assert line["event_id"] == f"{line['order']}:1"


@pytest.mark.parametrize("style", ["json", "text"])
def test_no_library_can_put_a_token_into_a_line(style: str) -> None:
    log_redaction.install()  # as every web process does
    grant = access.issue_grant([UNKNOWN])

    def write() -> None:
        logging.getLogger("uvicorn.error").warning("GET /ws/orders/?token=%s&version=1", grant)
        logging.getLogger("elsewhere").error("Authorization: Bearer %s", SERVICE)
        try:
            int(f"cannot read {grant}")
        except ValueError:
            logging.getLogger("elsewhere").exception("failed")

    written = lines_of(style, write)

    assert "[redacted]" in written
    assert "ValueError" in written
    assert grant not in written
    assert SERVICE not in written
