"""What staff read for the codes that we store: states, statuses, outcomes, flags, sources and event types.

One table for the admin, the board and `why`, in the reader's language. Codes stay what the API and the rows have.
"""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from orders.domain.states import State

Text = str | Promise

STATES: Mapping[str, Text] = {
    State.CREATED: pgettext_lazy("state", "Created"),
    State.AWAITING_PAYMENT: pgettext_lazy("state", "Awaiting payment"),
    State.PROCESSING: pgettext_lazy("state", "Processing"),
    State.AUTHORISED: pgettext_lazy("state", "Authorised"),
    State.PAID: pgettext_lazy("state", "Paid"),
    State.PARTIALLY_REFUNDED: pgettext_lazy("state", "Partially refunded"),
    State.REFUNDED: pgettext_lazy("state", "Refunded"),
    State.DISPUTED: pgettext_lazy("state", "Disputed"),
    State.CHARGED_BACK: pgettext_lazy("state", "Charged back"),
    State.FAILED: pgettext_lazy("state", "Failed"),
    State.CANCELLED: pgettext_lazy("state", "Cancelled"),
    State.EXPIRED: pgettext_lazy("state", "Expired"),
}
# Of payments and refunds, where an order has none of the same name.
STATUSES: Mapping[str, Text] = {
    "intended": pgettext_lazy("status", "Unconfirmed"),
    "pending": pgettext_lazy("status", "Pending"),
    "captured": pgettext_lazy("status", "Captured"),
    "succeeded": pgettext_lazy("status", "Succeeded"),
}
# What a check at a provider, or a callback, came to.
FOUND: Mapping[str, Text] = {
    "applied": _("Applied"),
    "nothing_new": _("No change"),
    "asking": _("Out of sequence; checking again"),
    "conflict": _("Conflicts with this order's state"),
    "mismatch": _("Amount, currency or reference differs"),
    "unmatched": _("Matches no payment"),
    "foreign": _("Another program's payment in the same account"),
    "not_found": _("Unknown to the provider"),
    "refused": _("Refused by the provider"),
    "rate_limited": _("Rate limited by the provider"),
    "unavailable": _("Provider unavailable"),
    "ambiguous": _("Timed out; outcome unknown"),
    "malformed": _("Invalid data"),
    "error": _("Internal error, or provider not configured"),
}
# What became of something that staff or a service asked for.
AUDITED: Mapping[str, Text] = {
    "done": _("Done"),
    "asked_lately": _("Too soon after the last refresh"),
}
FLAGS: Mapping[str, Text] = {
    "mismatch": pgettext_lazy("flag", "Mismatch"),
    "conflict": pgettext_lazy("flag", "Conflict"),
    "overpaid": pgettext_lazy("flag", "Overpaid"),
    "underpaid": pgettext_lazy("flag", "Underpaid"),
    "late_payment": pgettext_lazy("flag", "Late payment"),
    "checks_exhausted": pgettext_lazy("flag", "Checks exhausted"),
    "staff": pgettext_lazy("flag", "Flagged by staff"),
}
SOURCES: Mapping[str, Text] = {
    "api": pgettext_lazy("source", "API"),
    "callback": pgettext_lazy("source", "Provider callback"),
    "reconciler": pgettext_lazy("source", "Reconciler"),
    "staff": pgettext_lazy("source", "Staff"),
    "system": pgettext_lazy("source", "Ordercast"),
}
EVENTS: Mapping[str, Text] = {
    "order.created": pgettext_lazy("event", "Order created"),
    "payment.started": pgettext_lazy("event", "Payment started"),
    "payment.processing": pgettext_lazy("event", "Payment processing"),
    "payment.authorised": pgettext_lazy("event", "Payment authorised"),
    "payment.captured": pgettext_lazy("event", "Payment captured"),
    "payment.failed": pgettext_lazy("event", "Payment failed"),
    "payment.captured_late": pgettext_lazy("event", "Late payment received"),
    "order.cancellation_requested": pgettext_lazy("event", "Cancellation requested"),
    "order.cancelled": pgettext_lazy("event", "Order cancelled"),
    "order.expired": pgettext_lazy("event", "Order expired"),
    "refund.requested": pgettext_lazy("event", "Refund requested"),
    "refund.changed": pgettext_lazy("event", "Refunded amount changed"),
    "refund.failed": pgettext_lazy("event", "Refund failed"),
    "dispute.opened": pgettext_lazy("event", "Dispute opened"),
    "dispute.won": pgettext_lazy("event", "Dispute won"),
    "dispute.lost": pgettext_lazy("event", "Dispute lost"),
    "order.late_payment_accepted": pgettext_lazy("event", "Late payment accepted"),
    "order.flagged": pgettext_lazy("event", "Flagged for review"),
    "order.review_cleared": pgettext_lazy("event", "Review flags cleared"),
    "order.conflict": pgettext_lazy("event", "Conflict with the provider"),
}

_BADGES: Mapping[str, Text] = {**AUDITED, **FOUND, **STATUSES, **STATES}


def of(code: str) -> Text:
    """The label of a state, a status or an outcome; a code that has none is shown without its underscores."""
    return _BADGES.get(code) or code.replace("_", " ")


def flag(reason: str) -> Text:
    return FLAGS.get(reason) or reason.replace("_", " ")


def source(code: str) -> Text:
    return SOURCES.get(code) or code


def event(kind: str) -> Text:
    return EVENTS.get(kind) or kind
