"""The Stripe provider. What was decided here and why is in docs/providers.md."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

import stripe

from orders.payments.base import (
    Ack,
    AckOutcome,
    AmbiguousOutcome,
    CancelPayment,
    Capabilities,
    CreatePayment,
    Listed,
    NotFound,
    PaymentStatus,
    Provider,
    ProviderEvent,
    RefundPayment,
    RequestRefused,
    Snapshot,
    Unavailable,
)
from orders.payments.money import NotRepresentable
from orders.payments.stripe import callbacks, calls
from orders.payments.stripe.reading import (
    IN_INTENT,
    IN_SESSION,
    listed,
    look_for,
    making_sense,
    of_intent,
    of_session,
    sessions_of,
)
from orders.payments.stripe.shapes import FLOW, OUR_REF, Intent, plain, to_stripe

_REF = re.compile(r"(cs|pi)_[A-Za-z0-9_]{1,120}")


class Stripe(Provider):
    """One Stripe account. `timeout` in seconds, for each call; a method makes one to three, `fetch` without their
    reference up to eight. Raises `ValueError` if a webhook secret is none.
    """

    name = "stripe"
    capabilities = Capabilities(synchronous=True, refund=True, partial_refund=True)
    # An event holds a whole object with all that hangs on it, also of types that we only let pass: one that is refused
    # for its size comes again for days, and then Stripe disables the endpoint.
    max_callback = 1024 * 1024

    # The customer is not on a page of Stripe's: what would send them somewhere is a decline.
    direct: ClassVar[Any] = {
        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}
    }

    def __init__(
        self,
        key: str,
        webhook_secrets: list[str],
        timeout: float,
        url: str = "https://api.stripe.com",
    ) -> None:
        if not webhook_secrets or not all(secret.strip() for secret in webhook_secrets):
            raise ValueError("at least one webhook secret is needed, and none may be empty")
        self._secrets = list(webhook_secrets)
        client, self._transport = calls.client(key, url, timeout)
        self._api = client.v1

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    def create(self, request: CreatePayment) -> Snapshot:
        try:
            amount = to_stripe(request.amount, request.currency)
        except NotRepresentable as wrong:
            raise RequestRefused(str(wrong), code="amount_not_representable") from None
        try:
            with calls.writing():
                return (
                    self._charge(request, amount)
                    if request.confirm
                    else self._open(request, amount)
                )
        except NotFound as missing:
            # Something that the request names. To say that the payment is not found would mean: ask again.
            raise RequestRefused(str(missing), code="resource_missing") from missing

    def _open(self, request: CreatePayment, amount: int) -> Snapshot:
        ours = {OUR_REF: request.merchant_ref}
        made = self._api.checkout.sessions.create(
            {
                "mode": "payment",
                "client_reference_id": request.merchant_ref,
                "line_items": [
                    {
                        "quantity": 1,
                        "price_data": {
                            "currency": request.currency.lower(),
                            "unit_amount": amount,
                            "product_data": {"name": request.description or request.merchant_ref},
                        },
                    }
                ],
                "success_url": request.return_url,
                "cancel_url": request.return_url,
                "metadata": ours,
                "payment_intent_data": {"metadata": {**ours, FLOW: "checkout"}},
                "expand": IN_SESSION,
            },
            {"idempotency_key": request.merchant_ref},
        )
        return of_session(self._api, plain(made), AmbiguousOutcome)

    def _charge(self, request: CreatePayment, amount: int) -> Snapshot:
        method = request.metadata.get("stripe_payment_method")
        if not isinstance(method, str) or not method:
            text = "to charge at once, the order's metadata must name a stripe_payment_method"
            raise RequestRefused(text, code="payment_method_missing")
        asked: Any = {
            "amount": amount,
            "currency": request.currency.lower(),
            "payment_method": method,
            "confirm": True,
            "off_session": True,
            "metadata": {OUR_REF: request.merchant_ref, FLOW: "direct"},
            "expand": IN_INTENT,
            **self.direct,
        }
        try:
            made = self._api.payment_intents.create(
                asked, {"idempotency_key": request.merchant_ref}
            )
        except stripe.CardError as declined:
            inside = declined.error.to_dict().get("payment_intent") if declined.error else None
            if inside is None:
                raise
            return of_intent(self._api, inside, AmbiguousOutcome)
        return of_intent(self._api, plain(made), AmbiguousOutcome)

    def fetch(self, merchant_ref: str, provider_ref: str | None) -> Snapshot:
        with calls.reading():
            ref = provider_ref or look_for(self._api, merchant_ref)
            if not _REF.fullmatch(ref):
                raise NotFound(f"{ref[:40]!r} is no reference of Stripe's")
            if ref.startswith("cs_"):
                found = self._api.checkout.sessions.retrieve(ref, {"expand": IN_SESSION})
                return of_session(self._api, plain(found), Unavailable)
            intent = self._api.payment_intents.retrieve(ref, {"expand": IN_INTENT})
            return of_intent(self._api, plain(intent), Unavailable)

    def list_payments(self, created_after: datetime, cursor: str = "") -> Listed:
        """Newest first, as Stripe lists; what other programs made in the same account is left out."""
        with calls.reading():
            found, following = listed(self._api, created_after, cursor)
            return Listed(payments=tuple(found), next_cursor=following)

    def refund(self, request: RefundPayment) -> Snapshot:
        with calls.writing():
            intent = self._intent_of(
                request.provider_ref or look_for(self._api, request.merchant_ref)
            )
            try:
                made = self._api.refunds.create(
                    {
                        "payment_intent": intent.id,
                        "amount": to_stripe(request.amount, intent.currency.upper()),
                        "metadata": {OUR_REF: request.ref, "reason": request.reason[:500]},
                        "expand": IN_SESSION,
                    },
                    {"idempotency_key": request.ref},
                )
            except NotRepresentable as wrong:
                raise RequestRefused(str(wrong), code="amount_not_representable") from None
            except stripe.InvalidRequestError as no:
                if no.code == "charge_already_refunded" or no.param == "amount":
                    raise RequestRefused(str(no), code="refund_exceeds_captured") from no
                raise
            return of_intent(self._api, plain(made)["payment_intent"], AmbiguousOutcome)

    def _intent_of(self, ref: str) -> Intent:
        with calls.reading(), making_sense(Unavailable):
            if ref.startswith("cs_"):
                session = plain(
                    self._api.checkout.sessions.retrieve(ref, {"expand": ["payment_intent"]})
                )
                if not (inside := session.get("payment_intent")):
                    raise RequestRefused("nobody has paid yet", code="not_captured")
                return Intent.model_validate(inside)
            return Intent.model_validate(plain(self._api.payment_intents.retrieve(ref)))

    def cancel(self, request: CancelPayment) -> Snapshot:
        # Without a key of ours: a repeated refusal would be an old one, and to cancel twice does no harm.
        try:
            with calls.writing():
                ref = request.provider_ref or look_for(self._api, request.merchant_ref)
                return self._expire(ref) if ref.startswith("cs_") else self._void(ref)
        except RequestRefused:
            # Called off already, by an earlier try or by time: that is what was wanted.
            told = self.fetch(request.merchant_ref, request.provider_ref or None)
            if told.status is PaymentStatus.CANCELLED:
                return told
            raise

    def _expire(self, ref: str) -> Snapshot:
        found = self._api.checkout.sessions.expire(ref, {"expand": IN_SESSION})
        return of_session(self._api, plain(found), AmbiguousOutcome)

    def _void(self, ref: str) -> Snapshot:
        try:
            found = self._api.payment_intents.cancel(ref, {"expand": IN_INTENT})
        except stripe.InvalidRequestError:
            # An intent of Checkout is called off by closing its page, unless it already holds money.
            for session in sessions_of(self._api, ref):
                if session.status == "open":
                    return self._expire(session.id)
            raise
        return of_intent(self._api, plain(found), AmbiguousOutcome)

    def parse_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> list[ProviderEvent]:
        callbacks.verify(headers, body, self._secrets, now)
        return callbacks.parse(body)

    def reread(self, body: bytes, event_id: str) -> ProviderEvent | None:
        return next((e for e in callbacks.parse(body) if e.event_id == event_id), None)

    def ack(self, outcome: AckOutcome) -> Ack:
        match outcome:
            case AckOutcome.ACCEPTED:
                return Ack(status=200)
            case AckOutcome.TRY_AGAIN:
                return Ack(status=503)
            case AckOutcome.BAD_SIGNATURE | AckOutcome.MALFORMED:
                return Ack(status=400)
