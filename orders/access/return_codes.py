"""One-time codes for the way back from a checkout.

What is put into the provider's `return_url` stands in the provider's records and logs for good, so it is no grant: it
is a code that is good once, and for an hour after the customer was sent to the checkout. Only a hash of it is kept. It
is made of the payment's ref and a key of ours, so that a call to the provider that is repeated says the same.

Limit: whoever has the code before the customer comes back, has what the customer had; so it was with the grant.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from datetime import timedelta
from urllib.parse import urlencode

from django.db.models.functions import Now

from orders import clock
from orders.access import keys
from orders.access.credentials import Credentials, Kind
from orders.access.revocation import invalidated
from orders.access.tokens import GRANT_LIFETIME
from orders.models import Payment, ReturnCode

PARAMETER = "return_code"
GOOD_FOR = timedelta(hours=1)
_KEPT = timedelta(days=30)  # for as long as a call to a provider may be repeated, and longer
_CLEARED = 20  # old rows for each new one


def issue(payment: Payment, grant: Credentials | None) -> None:
    """Let the payment's checkout send its customer back with `grant`, or with a new one where a service pays."""
    now = clock.now()
    ReturnCode.objects.create(
        payment=payment,
        code_hash=_hash(_code(keys.signing()[0], payment.ref)),
        good_until=now + GOOD_FOR,
        token_id=grant.token_id if grant else secrets.token_urlsafe(9),
        issued_at=grant.issued_at if grant else now,
        expires_at=grant.expires_at if grant else now + GRANT_LIFETIME,
    )
    old = ReturnCode.objects.filter(good_until__lt=now - _KEPT).select_for_update(skip_locked=True)
    ReturnCode.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_CLEARED])).delete()


def extend(payment: Payment) -> None:
    """The customer is sent to the checkout once more: another hour, for a code that was not used."""
    ReturnCode.objects.filter(payment=payment, used_at=None).update(good_until=Now() + GOOD_FOR)


def return_url(payment: Payment) -> str:
    """Where the provider is to send the customer, the same whenever it is asked."""
    kept = ReturnCode.objects.filter(payment=payment).values_list("code_hash", flat=True).first()
    for secret in keys.secrets() if kept else ():
        code = _code(secret, payment.ref)
        if _hash(code) == kept:
            return f"{payment.return_url}?{urlencode({PARAMETER: code})}"
    return payment.return_url


def redeem(code: str, ref: str) -> Credentials | None:
    """The grant that the code is good for; None if there is no such code for that order, it was used, or it is late."""
    row = ReturnCode.objects.filter(code_hash=_hash(code)).select_related("payment__order").first()
    if row is None or row.payment.order.ref != ref:
        return None
    grant = Credentials(
        kind=Kind.GRANT,
        refs=frozenset({ref}),
        token_id=row.token_id,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
    )
    if invalidated([grant]):
        return None
    # The database judges who was first: each condition is on the row itself, so it is asked again after waiting.
    usable = ReturnCode.objects.filter(pk=row.pk, used_at=None, good_until__gt=Now())
    return grant if usable.update(used_at=Now()) else None


def _code(secret: str, payment_ref: str) -> str:
    made = hmac.digest(secret.encode(), f"return code of payment {payment_ref}".encode(), "sha256")
    return urlsafe_b64encode(made[:18]).decode()


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()
