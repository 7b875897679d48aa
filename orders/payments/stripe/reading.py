"""What has to be asked of Stripe beside the payment itself: its name, its page, its many refunds, its disputes."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import stripe
from pydantic import ValidationError

from orders.payments.base import NotFound, ProviderError, Snapshot, Unavailable
from orders.payments.stripe.shapes import (
    FLOW,
    OUR_REF,
    Dispute,
    Intent,
    Refunds,
    Session,
    from_intent,
    from_session,
    plain,
)

PAGE = 100  # objects; the most that Stripe gives
PAGES = 3  # of the newest sessions, and of the newest intents, that are looked through for a lost answer
IN_INTENT = ["latest_charge.refunds"]
IN_SESSION = ["payment_intent.latest_charge.refunds"]

Api = stripe._v1_services.V1Services  # noqa: SLF001 — StripeClient.v1, which has no public name


def look_for(api: Api, merchant_ref: str) -> str:
    """Stripe's name for a payment whose create answer was lost. Raises `NotFound`.

    The newest by listing, which is current; all others by search, which runs up to a minute behind. Limit: one that
    was made within that minute and is already behind the newest `PAGE * PAGES` of its kind is not found.
    """
    lists: list[Any] = [api.checkout.sessions, api.payment_intents]
    for each in lists:
        for found in _newest(each):
            if (found.get("metadata") or {}).get(OUR_REF) == merchant_ref:
                return str(found["id"])
    word = re.sub("[^0-9A-Za-z_-]", "", merchant_ref)
    for intent in api.payment_intents.search({"query": f"metadata['{OUR_REF}']:'{word}'"}).data:
        return intent.id
    raise NotFound(f"Stripe has no payment with {OUR_REF} {merchant_ref[:64]!r}")


def _newest(service: Any) -> Iterator[dict[str, Any]]:
    params: dict[str, Any] = {"limit": PAGE}
    for _ in range(PAGES):
        page = service.list(params)
        found = [plain(each) for each in page.data]
        yield from found
        if not page.has_more or not found:
            return
        params["starting_after"] = found[-1]["id"]


def listed(api: Api, created_after: datetime, cursor: str) -> tuple[list[Snapshot], str]:
    """A page of our payments, and where the next one begins: first the sessions, then the intents without one."""
    kind, _, last = (cursor or "cs:").partition(":")
    params: dict[str, Any] = {"limit": PAGE, "created": {"gt": int(created_after.timestamp())}}
    if last:
        params["starting_after"] = last
    service: Any = api.checkout.sessions if kind == "cs" else api.payment_intents
    params["expand"] = [f"data.{path}" for path in (IN_SESSION if kind == "cs" else IN_INTENT)]
    page = service.list(params)
    every = [plain(each) for each in page.data]
    ours = [each for each in every if OUR_REF in (each.get("metadata") or {})]
    if kind == "cs":
        found = [of_session(api, session, Unavailable) for session in ours]
    else:
        direct = [each for each in ours if each["metadata"].get(FLOW) != "checkout"]
        found = [of_intent(api, intent, Unavailable) for intent in direct]
    if page.has_more and every:
        return found, f"{kind}:{every[-1]['id']}"
    return found, "pi:" if kind == "cs" else ""


def of_session(api: Api, found: dict[str, Any], unknown: type[ProviderError]) -> Snapshot:
    """`unknown` is raised where the answer makes no sense."""
    with making_sense(unknown):
        session = Session.model_validate(found)
        if isinstance(session.payment_intent, Intent):
            return _whole(api, session.payment_intent, session)
        if told := from_session(session):
            return told
        raise ValueError(f"a session that is {session.status[:20]!r}, without its intent")


def of_intent(api: Api, found: object, unknown: type[ProviderError]) -> Snapshot:
    """The same, and the session is asked where it alone knows whether the customer may still act."""
    with making_sense(unknown):
        intent = Intent.model_validate(found)
        session = next(sessions_of(api, intent.id), None) if intent.needs_session else None
        return _whole(api, intent, session)


def sessions_of(api: Api, intent_ref: str) -> Iterator[Session]:
    for found in api.checkout.sessions.list({"payment_intent": intent_ref}).data:
        yield Session.model_validate(plain(found))


def _whole(api: Api, intent: Intent, session: Session | None) -> Snapshot:
    """With what does not come along: refunds beyond the ten newest, and disputes."""
    charge = intent.charge
    if charge.refunds and charge.refunds.has_more:
        every = api.refunds.list({"payment_intent": intent.id, "limit": PAGE}).auto_paging_iter()
        refunds = Refunds.model_validate({"data": [plain(refund) for refund in every]})
        charge = charge.model_copy(update={"refunds": refunds})
        intent = intent.model_copy(update={"latest_charge": charge})
    disputes = []
    if charge.disputed:
        listed = api.disputes.list({"payment_intent": intent.id, "limit": PAGE})
        disputes = [Dispute.model_validate(plain(dispute)) for dispute in listed.data]
    return from_intent(intent, session, disputes)


@contextmanager
def making_sense(unknown: type[ProviderError]) -> Iterator[None]:
    try:
        yield
    except ValidationError as wrong:
        first = wrong.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise unknown(f"unexpected answer of Stripe: {where}: {first['msg']}") from None
    except ValueError as wrong:
        raise unknown(f"unexpected answer of Stripe: {wrong}") from None
