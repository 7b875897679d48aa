"""Forced refreshes in the admin: a reason, a run with a row for each order, a cooldown, and a permission."""

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import Settings

from orders.commands import refresh_runs
from orders.models import AuditEntry, OrderEvent, PaymentCheck, RefreshItem, RefreshRun
from tests.builders import STAFF, an_order, at_once, journal_of
from tests.orders.staff import LIST, begun, logged_in, refreshed, run, seen, staff_with
from tests.sandbox import SandboxProcess
from tests.workers.conftest import provider, provider_process
from workers import refresh_jobs

__all__ = ["provider", "provider_process"]
pytestmark = pytest.mark.usefixtures("database", "valkey")


@pytest.fixture
def staff(database: None) -> Client:
    """Rosa, who may do everything."""
    return logged_in(User.objects.create_superuser("rosa"))


def test_force_refresh_asks_for_a_reason_first(staff: Client, provider: SandboxProcess) -> None:
    order = an_order()
    payment = begun(order)

    asked = run(staff, "force_refresh", order)
    again = run(staff, "force_refresh", order, confirm="1", reason="  ")

    assert 'name="reason"' in asked
    assert "This field is required" in again
    assert not PaymentCheck.objects.filter(payment=payment).exists()


def test_force_refresh_brings_the_order_to_the_providers_truth_and_says_so(
    staff: Client, provider: SandboxProcess
) -> None:
    order = an_order()
    payment = begun(order)
    provider.act(payment.provider_ref, "pay")

    html = refreshed(staff, order, reason="she says she paid")

    order.refresh_from_db()
    event = OrderEvent.objects.latest("pk")
    check = PaymentCheck.objects.get()
    assert order.state == "paid"
    assert (event.source, event.actor) == ("staff", "rosa")
    assert (check.source, check.actor, check.found) == ("staff", "rosa", "applied")
    assert "she says she paid" in check.detail
    assert "Applied" in seen(html)
    assert "Awaiting payment → Paid" in seen(html)


def test_force_refresh_shows_a_result_for_each_order(
    staff: Client, provider: SandboxProcess
) -> None:
    paid, waiting, unbegun = an_order(), an_order(), an_order()
    provider.act(begun(paid).provider_ref, "pay")
    begun(waiting)

    html = seen(refreshed(staff, paid, waiting, unbegun))

    assert "Applied" in html
    assert "No change" in html
    assert "No payment to check yet" in html


def test_a_provider_that_is_away_is_said_and_harms_nothing(
    staff: Client, provider: SandboxProcess
) -> None:
    order = an_order()
    begun(order)
    before = journal_of(order)
    provider.set_faults("answer_500")

    html = seen(refreshed(staff, order))

    assert "Provider unavailable" in html
    assert journal_of(order) == before


def test_only_who_has_the_permission_can_force_a_refresh() -> None:
    order = an_order()
    client = staff_with("view_order", "change_order")

    html = client.get(LIST).content.decode()
    run(client, "force_refresh", order, confirm="1", reason="asked")

    assert "force_refresh" not in html
    assert "clear_review" in html
    assert not PaymentCheck.objects.exists()


def test_too_many_orders_at_once_are_declined_before_anything_is_asked(staff: Client) -> None:
    orders = [an_order() for _ in range(51)]

    html = seen(run(staff, "force_refresh", *orders, confirm="1", reason="all of them"))

    assert "Select at most 50 at a time" in html


def test_a_run_shows_who_waits_until_each_order_is_done(
    staff: Client, provider: SandboxProcess
) -> None:
    orders = [an_order() for _ in range(3)]
    for order in orders:
        begun(order)

    waiting = seen(run(staff, "force_refresh", *orders, confirm="1", reason="asked"))
    newest = RefreshRun.objects.get()
    refresh_jobs.carry_out(newest.pk)
    done = seen(staff.get(f"/admin/orders/refreshrun/{newest.pk}/change/").content.decode())

    assert "0 of 3 checked." in waiting
    assert waiting.count("Waiting") == 3
    assert "All 3 orders have been checked." in done
    assert done.count("No change") == 3
    assert "Waiting" not in done


def test_an_order_is_not_asked_about_twice_in_a_moment(
    staff: Client, provider: SandboxProcess
) -> None:
    order = an_order()
    begun(order)
    refreshed(staff, order)

    html = seen(refreshed(staff, order))

    first, second = RefreshItem.objects.order_by("pk")
    assert second.free_at is not None
    assert (second.free_at - first.wanted_at).total_seconds() == 10
    assert f"again from {second.free_at:%H:%M:%S} UTC" in html
    assert PaymentCheck.objects.count() == 1
    outcomes = AuditEntry.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(outcomes) == ["done", "asked_lately"]


def test_after_the_cooldown_it_is_asked_about_again(
    staff: Client, provider: SandboxProcess, settings: Settings
) -> None:
    settings.ORDERCAST_REFRESH_COOLDOWN = 0
    order = an_order()
    begun(order)

    refreshed(staff, order)
    refreshed(staff, order)

    assert PaymentCheck.objects.count() == 2


def test_of_two_who_press_at_once_one_is_told_to_wait(database: None) -> None:
    order = an_order()

    at_once(*[lambda: refresh_runs.want([order.pk], STAFF)] * 4)

    statuses = sorted(RefreshItem.objects.values_list("status", flat=True))
    assert statuses == ["refused", "refused", "refused", "waiting"]


def test_two_workers_ask_about_each_order_once(provider: SandboxProcess) -> None:
    orders = [an_order() for _ in range(6)]
    for order in orders:
        begun(order)
    wanted = refresh_runs.want([order.pk for order in orders], STAFF)

    did = at_once(*[lambda: refresh_jobs.carry_out(wanted.pk)] * 2)

    assert sum(count for count in did if isinstance(count, int)) == 6
    assert PaymentCheck.objects.count() == 6


def test_what_a_lost_task_left_the_next_tick_takes_up(provider: SandboxProcess) -> None:
    order = an_order()
    payment = begun(order)
    provider.act(payment.provider_ref, "pay")
    refresh_runs.want([order.pk], STAFF)

    assert refresh_jobs.catch_up() == 1
    assert refresh_jobs.catch_up() == 0

    order.refresh_from_db()
    assert order.state == "paid"


def test_what_a_dead_worker_had_begun_is_done_again_after_its_lease(
    provider: SandboxProcess,
) -> None:
    order = an_order()
    begun(order)
    refresh_runs.want([order.pk], STAFF)
    item = refresh_runs._claim(None)
    assert item is not None
    assert refresh_jobs.catch_up() == 0

    RefreshItem.objects.filter(pk=item.pk).update(claimed_at="2020-01-01T00:00:00Z")

    assert refresh_jobs.catch_up() == 1


def test_a_run_is_seen_and_carried_out_by_those_who_may_refresh_and_nobody_else() -> None:
    wanted = refresh_runs.want([an_order().pk], STAFF)
    page = f"/admin/orders/refreshrun/{wanted.pk}/"
    clerk = staff_with("view_order", "change_order", "view_refreshrun")

    codes = [
        clerk.get(f"{page}change/").status_code,
        clerk.post(f"{page}carry-out/").status_code,
        Client().post(f"{page}carry-out/").status_code,
    ]

    assert codes == [403, 403, 302]
    assert RefreshItem.objects.get().status == "waiting"
