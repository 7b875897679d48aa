"""What the pages say to a customer, in plain words: for the server's templates, and handed on to the browser.

Each state, event and failure has its entry here and nowhere else. The words promise nothing that the state does not.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from orders.domain.states import State

Text = str | Promise


@dataclass(frozen=True, kw_only=True)
class StateWords:
    """`tone` is how it looks: wait, busy, good, bad, over. `step` is how far the progress has come (0: none is shown).
    `action` names the button, if there is something to do."""

    headline: Text
    next: Text
    short: Text
    tone: str
    step: int = 0
    action: str = ""


@dataclass(frozen=True, kw_only=True)
class EventWords:
    """`detail` is the value that is shown beside the title: the name of an amount, or "code" for why it failed."""

    title: Text
    detail: str = ""
    tone: str = ""


STEPS: tuple[Text, ...] = (
    pgettext_lazy("step", "Ordered"),
    pgettext_lazy("step", "Payment"),
    pgettext_lazy("step", "Bank"),
    pgettext_lazy("step", "Paid"),
)
ACTIONS: Mapping[str, Text] = {
    "pay": _("Pay now"),
    "continue": _("Continue to payment"),
    "again": _("Pay again"),
}

STATES: Mapping[str, StateWords] = {
    State.CREATED: StateWords(
        headline=_("Ready for your payment"),
        next=_(
            "Pay whenever it suits you. This page updates by itself as soon as your payment arrives."
        ),
        short=_("To be paid"),
        tone="wait",
        step=2,
        action="pay",
    ),
    State.AWAITING_PAYMENT: StateWords(
        headline=_("Waiting for your payment"),
        next=_(
            "Finish paying at the checkout. If you have just paid, it usually shows here within moments. "
            "You can close this page."
        ),
        short=_("Waiting for payment"),
        tone="wait",
        step=2,
        action="continue",
    ),
    State.PROCESSING: StateWords(
        headline=_("Confirming with your bank"),
        next=_(
            "We are waiting for your bank; this usually takes a minute, and up to a few days with a bank transfer or "
            "direct debit. You can close this page."
        ),
        short=_("Being confirmed"),
        tone="busy",
        step=3,
    ),
    State.AUTHORISED: StateWords(
        headline=_("Your payment is reserved"),
        next=_(
            "Your bank has set the amount aside, and we collect it when your order is ready. "
            "You don’t need to do anything."
        ),
        short=_("Reserved"),
        tone="busy",
        step=3,
    ),
    State.PAID: StateWords(
        headline=_("Paid, thank you"),
        next=_("Your payment has arrived. You don’t need to do anything else."),
        short=_("Paid"),
        tone="good",
        step=5,
    ),
    State.PARTIALLY_REFUNDED: StateWords(
        headline=_("Partly refunded"),
        next=_(
            "We have sent part of your money back. It can take your bank a few days to show it in your account."
        ),
        short=_("Partly refunded"),
        tone="good",
    ),
    State.REFUNDED: StateWords(
        headline=_("Refunded"),
        next=_(
            "We have sent your money back. It can take your bank a few days to show it in your account."
        ),
        short=_("Refunded"),
        tone="good",
    ),
    State.DISPUTED: StateWords(
        headline=_("Your bank is looking into this payment"),
        next=_(
            "The payment was disputed. Banks often take several weeks to decide; this page will show the outcome."
        ),
        short=_("Disputed"),
        tone="wait",
    ),
    State.CHARGED_BACK: StateWords(
        headline=_("Your bank took the payment back"),
        next=_("The dispute has ended, and your bank has returned the money to you."),
        short=_("Charged back"),
        tone="over",
    ),
    State.FAILED: StateWords(
        headline=_("The payment did not go through"),
        next=_("You can try again, with the same or with another card or account."),
        short=_("Not paid"),
        tone="bad",
        step=2,
        action="again",
    ),
    State.CANCELLED: StateWords(
        headline=_("This order is cancelled"),
        next=_("Nothing more will be charged. To buy after all, please place a new order."),
        short=_("Cancelled"),
        tone="over",
    ),
    State.EXPIRED: StateWords(
        headline=_("The time to pay has run out"),
        next=_("This order can no longer be paid. To buy after all, please place a new order."),
        short=_("Expired"),
        tone="over",
    ),
}

# No states of the order's money, but what a page shows instead of one: `order_view.shown_as` says when.
CANCELLING, OVERDUE, LATE, RETURNED = "cancelling", "overdue", "late", "returned"
SHOWN: Mapping[str, StateWords] = {
    **STATES,
    CANCELLING: StateWords(
        headline=_("This order is being cancelled"),
        next=_("We are waiting for the payment provider to confirm that nothing will be charged."),
        short=_("Being cancelled"),
        tone="busy",
    ),
    OVERDUE: StateWords(
        headline=_("The time to pay has run out"),
        next=_(
            "This order can no longer be paid. If you have just paid, your payment will show here as soon as we hear "
            "of it."
        ),
        short=_("Time to pay ran out"),
        tone="over",
    ),
    LATE: StateWords(
        headline=_("Your payment arrived too late"),
        next=_(
            "This order had already closed when your payment arrived. Your money is not lost: we will either accept "
            "the payment or send it back, and this page will show which."
        ),
        short=_("Paid too late"),
        tone="wait",
    ),
    RETURNED: StateWords(
        headline=_("Your payment was sent back"),
        next=_(
            "It arrived after this order had closed. It can take your bank a few days to show the money in your "
            "account."
        ),
        short=_("Sent back"),
        tone="over",
    ),
}

REFUNDS: Mapping[str, Text] = {
    "sent": pgettext_lazy("refund", "On its way"),
    "done": pgettext_lazy("refund", "Sent back"),
    "failed": pgettext_lazy("refund", "Did not go through"),
}

# An event that is not here is none of the customer's business, and is not shown.
EVENTS: Mapping[str, EventWords] = {
    "order.created": EventWords(title=_("Order placed"), detail="total"),
    "payment.started": EventWords(title=_("Payment started")),
    "payment.processing": EventWords(title=_("Your bank is confirming the payment")),
    "payment.authorised": EventWords(title=_("Amount reserved by your bank"), detail="amount"),
    "payment.captured": EventWords(title=_("Payment received"), detail="amount", tone="good"),
    "payment.failed": EventWords(title=_("Payment not completed"), detail="code", tone="bad"),
    "payment.captured_late": EventWords(
        title=_("Payment received after the order had closed"), detail="amount"
    ),
    "order.cancellation_requested": EventWords(title=_("Cancellation requested")),
    "order.cancelled": EventWords(title=_("Order cancelled")),
    "order.expired": EventWords(title=_("The time to pay ran out")),
    "refund.requested": EventWords(title=_("Refund on its way"), detail="amount"),
    "refund.changed": EventWords(title=_("Refunded in all"), detail="refunded", tone="good"),
    "refund.failed": EventWords(title=_("A refund did not go through"), detail="amount"),
    "dispute.opened": EventWords(title=_("Your bank opened a dispute"), detail="disputed"),
    "dispute.won": EventWords(title=_("The dispute was decided for the shop")),
    "dispute.lost": EventWords(title=_("Your bank returned the money to you"), detail="disputed"),
    "order.late_payment_accepted": EventWords(title=_("Late payment accepted"), tone="good"),
    "order.flagged": EventWords(title=_("We started checking this order")),
    "order.review_cleared": EventWords(title=_("We finished checking this order")),
}

_DECLINED = _("Your bank declined it")
FAILURES: Mapping[str, Text] = {
    "card_declined": _DECLINED,
    "declined": _DECLINED,
    "do_not_honor": _DECLINED,
    "generic_decline": _DECLINED,
    "insufficient_funds": _("There was not enough money in the account"),
    "expired_card": _("The card has expired"),
    "incorrect_cvc": _("The card’s security code was wrong"),
    "incorrect_number": _("The card number was wrong"),
    "authentication_required": _("Your bank’s confirmation step was not completed"),
    "processing_error": _("The payment provider had a problem"),
    "cancelled": _("It was cancelled"),
    "expired": _("The checkout was left open too long"),
    "never_sent": _("It never reached the payment provider"),
}

CONNECTION: Mapping[str, Text] = {
    "connecting": _("Connecting…"),
    "live": pgettext_lazy("connection", "Live"),
    "reconnecting": _("Reconnecting…"),
    "polling": _("Checking every few seconds"),
    "asleep": _("Paused"),
    "stopped": _("No longer updating; please reload"),
}

COPIED: Text = _("Copied")
# Translators: a date and time in Django's date format characters. It is followed by "UTC".
INSTANT: Text = pgettext_lazy("date format", "j M Y, H:i")


def for_browser() -> dict[str, Any]:
    """The same words, for Django's JSON encoder, which puts them into the active language."""
    return {
        "states": {str(name): asdict(words) for name, words in SHOWN.items()},
        "events": {name: asdict(words) for name, words in EVENTS.items()},
        "failures": dict(FAILURES),
        "actions": dict(ACTIONS),
        "refunds": dict(REFUNDS),
        "connection": dict(CONNECTION),
        "copied": COPIED,
    }
