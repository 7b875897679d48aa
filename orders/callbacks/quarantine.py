"""Callbacks that are rightly signed and make no sense: stored for review, as a person alone can tell what was meant.

One is a provider that has changed, or one that is broken; which payment it was about nobody can say. The payment itself
is found out about all the same, by its timetable.
"""

import hashlib
from collections.abc import Mapping

from django.db.models import F

from orders.models import CallbackReceipt
from orders.security.redaction import redact

OUTCOME = "malformed"
_KEPT_HEADERS = ("content-type", "user-agent")


def keep(provider: str, why: str, *, body: bytes, headers: Mapping[str, str]) -> None:
    """As a receipt of its own, once for each body: providers send again what was refused."""
    receipt, is_new = CallbackReceipt.objects.get_or_create(
        provider=provider,
        event_id=f"{OUTCOME}:{hashlib.sha256(body).hexdigest()}",
        defaults={
            "kind": OUTCOME,
            "body": _storable(body.decode("utf-8", "replace")),
            "headers": {n: _storable(headers[n]) for n in _KEPT_HEADERS if n in headers},
            "outcome": OUTCOME,
            "detail": _storable(why)[:500],
            "needs_review": True,
        },
    )
    if not is_new:
        CallbackReceipt.objects.filter(pk=receipt.pk).update(deliveries=F("deliveries") + 1)


def _storable(text: str) -> str:
    """Without secrets, and without what PostgreSQL's text cannot hold."""
    return redact(text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode())
