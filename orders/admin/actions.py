"""What staff can do to orders. Each asks for a reason, and goes through the same commands as everybody else."""

from collections.abc import Sequence

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from orders import access
from orders.access.links import page_url
from orders.admin.asking import Act, Line, action, on_each
from orders.commands import refresh_runs, refunds, review
from orders.domain import money
from orders.domain.cause import Cause
from orders.domain.errors import InvalidRequest
from orders.models import Order

BY_STAFF = "staff"  # the flag that a person has put on


def _ref(order: Order) -> str:
    return order.ref


def _force_refresh(_request: HttpRequest, orders: Sequence[Order], cause: Cause) -> HttpResponse:
    run = refresh_runs.want([order.pk for order in orders], cause)
    # 303: what was sent is done, and loading the next page again does not do it again.
    return HttpResponseRedirect(
        reverse("admin:orders_refreshrun_change", args=[run.pk]), status=303
    )


def _flag(order: Order, cause: Cause) -> list[Line]:
    if BY_STAFF in order.flags:
        raise InvalidRequest(f"Order {order.ref} is flagged by staff already; clear that first.")
    review.flag_order(order.ref, reason=BY_STAFF, detail=cause.reason, cause=cause)
    return [Line("success", _("Flagged"), cause.reason)]


def _clear_review(order: Order, cause: Cause) -> list[Line]:
    flags = ", ".join(order.flags)
    review.clear_review(order.ref, reason=cause.reason, cause=cause)
    return [Line("success", _("Flags cleared"), flags)]


def _accept_late_payment(order: Order, cause: Cause) -> list[Line]:
    review.accept_late_payment(order.ref, reason=cause.reason, cause=cause)
    return [Line("success", _("Late payment accepted"))]


def _return_late_payment(order: Order, cause: Cause) -> list[Line]:
    made = refunds.return_late_payment(order.ref, reason=cause.reason, cause=cause)
    total = money.written(sum(refund.amount for refund in made), order.currency)
    return [Line("success", _("Refund requested"), total)]


def _revoke_links(order: Order, cause: Cause) -> list[Line]:
    name = access.revocation.order(order.ref)
    access.revoke(name, actor=cause.actor, reason=cause.reason)
    closing = _("pages opened with them close within 3 seconds")
    return [Line("success", _("All existing links revoked"), closing)]


def _new_link(order: Order, _cause: Cause) -> list[Line]:
    """On this page alone: no address, message or log holds it."""
    link = page_url(order.ref, access.issue_grant([order.ref]))
    return [Line("success", _("New link, valid for 30 days"), link)]


force_refresh = action(
    Act(
        name="force_refresh",
        title=_("Force refresh from provider"),
        says=_(
            "Checks every payment of each order with its provider now, and the order is updated."
        ),
        permission="refresh",
        carry_out=_force_refresh,
    )
)
flag = action(
    Act(
        name="flag",
        title=_("Flag for review"),
        says=_("Marks each order for review, with your reason. Its state does not change."),
        permission="staff_change",
        carry_out=on_each(_flag, "admin_flag", _ref),
    )
)
clear_review = action(
    Act(
        name="clear_review",
        title=_("Clear review flags"),
        says=_("Confirms that you have reviewed each order, and removes its flags."),
        permission="staff_change",
        carry_out=on_each(_clear_review, "admin_clear_review", _ref),
    )
)
accept_late_payment = action(
    Act(
        name="accept_late_payment",
        title=_("Accept late payment"),
        says=_("Accepts money that arrived after the order had closed; the order becomes paid."),
        permission="staff_change",
        carry_out=on_each(_accept_late_payment, "admin_accept_late_payment", _ref),
    )
)
return_late_payment = action(
    Act(
        name="return_late_payment",
        title=_("Send late payment back"),
        says=_(
            "Refunds all money that arrived after the order had closed. The order stays closed, and its flag goes once "
            "the provider says that the money has gone back."
        ),
        permission="staff_change",
        carry_out=on_each(_return_late_payment, "admin_return_late_payment", _ref),
    )
)
new_link = action(
    Act(
        name="new_link",
        title=_("Create a new link"),
        says=_(
            "Creates a new link to each order’s page, to copy and send to its customer. "
            "Whoever has the link sees the order. Existing links stay as they are."
        ),
        permission="staff_change",
        carry_out=on_each(_new_link, "admin_new_link", _ref),
    )
)
revoke_links = action(
    Act(
        name="revoke_links",
        title=_("Revoke links"),
        says=_("Ends every existing link and grant for each order; the shop can issue new ones."),
        permission="staff_change",
        carry_out=on_each(_revoke_links, "admin_revoke_links", _ref),
    )
)
