"""What providers call: `POST /callbacks/<provider>/`. A 2xx means committed."""

import logging
from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from orders import clock
from orders.api.problems import problem
from orders.callbacks import intake, quarantine, turns
from orders.callbacks.turns import Late, Turn
from orders.database import RETRY_AFTER, UNAVAILABLE, reason
from orders.database.errors import sqlstate
from orders.payments import registry
from orders.payments.base import AckOutcome, BadSignature, Malformed, Provider, ProviderEvent
from orders.security import rate_limits
from orders.security.rate_limits import LimitScope, TooMany
from orders.security.redaction import clipped, redact

log = logging.getLogger(__name__)

# Where a provider wants no words of its own, this is what it reads.
_REFUSED = {
    AckOutcome.BAD_SIGNATURE: "The signature is missing, too old or wrong.",
    AckOutcome.MALFORMED: "The callback is signed rightly, and cannot be understood. It was stored for review.",
    AckOutcome.TRY_AGAIN: "The callback could not be stored; send it again.",
}


@csrf_exempt  # a provider has no cookie of ours; its signature is what counts
@require_POST
def callback(request: HttpRequest, provider: str) -> HttpResponse:
    """Verify, store and apply a callback: 2xx once committed, 400, 403, 404, 413, 429, or 503 for "send it again"."""
    try:
        from_provider = registry.get(provider)
    except registry.UnknownProvider as unknown:
        return problem(request, 404, "unknown_provider", str(unknown))
    address = _address(request)
    if not rate_limits.is_listed(address, settings.ORDERCAST_CALLBACK_NETWORKS):
        log.warning(
            "rejected a callback of %s from %s: not in ORDERCAST_CALLBACK_NETWORKS",
            provider,
            address,
        )
        detail = "Callbacks are not taken from this address; ORDERCAST_CALLBACK_NETWORKS names those that may call."
        return problem(request, 403, "address_not_listed", detail)
    try:
        rate_limits.admit(LimitScope.CALLBACK, provider, rate_limits.client(address))
    except TooMany as many:
        wait = {"Retry-After": str(many.retry_after)}
        return problem(request, 429, "too_many_requests", str(many), headers=wait)
    # Before it is read, and after: a chunked one does not say how long it is.
    most = from_provider.max_callback
    if int(request.headers.get("Content-Length") or 0) > most or len(request.body) > most:
        detail = f"The callback is larger than {most // 1024} KB."
        return problem(request, 413, "too_large", detail)
    return _take(from_provider, request)


def _take(provider: Provider, request: HttpRequest) -> HttpResponse:
    body = request.body
    try:
        found = provider.parse_callback(request.headers, body, clock.now())
    except BadSignature as error:
        log.warning(
            "rejected a callback of %s from %s: %s", provider.name, _address(request), error
        )
        return _answer(request, provider, AckOutcome.BAD_SIGNATURE)
    except Malformed as error:
        log.error(
            "malformed callback of %s with a valid signature: %s; body: %r",
            provider.name,
            error,
            redact(clipped(body.decode("utf-8", "replace"), 500)),
        )
        with suppress(*UNAVAILABLE):  # it is in the log, and comes again
            quarantine.keep(provider.name, str(error), body=body, headers=request.headers)
        return _answer(request, provider, AckOutcome.MALFORMED)
    if not found:
        return _answer(request, provider, AckOutcome.ACCEPTED)
    turn = Turn((provider.name, found[0].merchant_ref or found[0].provider_ref))
    work = partial(_accept, turn, provider, found, request)
    if not turn.is_decided:
        if turns.may_be_late.get():
            return Late(turn, work)
        turn.wait()
    return work()


def _accept(
    turn: Turn, provider: Provider, found: Sequence[ProviderEvent], request: HttpRequest
) -> HttpResponse:
    if not turn.is_ours():
        log.warning(
            "too many callbacks of %s waiting for one payment, it is asked to retry", provider.name
        )
        return _answer(request, provider, AckOutcome.TRY_AGAIN)
    try:
        with transaction.atomic():
            for event in found:
                intake.accept(provider.name, event, body=request.body, headers=request.headers)
    except UNAVAILABLE as error:
        if not sqlstate(error).startswith("40"):  # a deadlock or the like is this one's alone
            turn.refuse_waiting()
        said = str(error).partition("\n")[0]
        log.error("%s, %s is asked to retry its callback: %s", reason(error), provider.name, said)
        return _answer(request, provider, AckOutcome.TRY_AGAIN)
    finally:
        turn.give_back()
    return _answer(request, provider, AckOutcome.ACCEPTED)


def _answer(request: HttpRequest, provider: Provider, outcome: AckOutcome) -> HttpResponse:
    ack = provider.ack(outcome)
    wait = {"Retry-After": str(RETRY_AFTER)} if outcome is AckOutcome.TRY_AGAIN else {}
    if outcome in _REFUSED and not ack.body:
        return problem(request, ack.status, outcome, _REFUSED[outcome], headers=wait)
    return HttpResponse(ack.body, ack.content_type, ack.status, headers=wait)


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", "?"))
