"""What providers call: `POST /callbacks/<provider>/`. A 2xx means committed."""

import logging
from contextlib import suppress

from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from psycopg_pool import PoolTimeout

from orders import clock
from orders.api.problems import problem
from orders.callbacks import intake, quarantine
from orders.payments import registry
from orders.payments.base import AckOutcome, BadSignature, Malformed, Provider
from orders.security import rate_limits
from orders.security.rate_limits import LimitScope, TooMany
from orders.security.redaction import clipped, redact

log = logging.getLogger(__name__)

_AWAY = (OperationalError, InterfaceError, PoolTimeout)
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
        log.warning("refused a callback of %s from %s, which is not listed", provider, address)
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
    return _answer(request, from_provider, _take(from_provider, request))


def _take(provider: Provider, request: HttpRequest) -> AckOutcome:
    body = request.body
    try:
        found = provider.parse_callback(request.headers, body, clock.now())
    except BadSignature as error:
        log.warning("refused a callback of %s from %s: %s", provider.name, _address(request), error)
        return AckOutcome.BAD_SIGNATURE
    except Malformed as error:
        log.error(
            "a signed callback of %s makes no sense: %s; body: %r",
            provider.name,
            error,
            redact(clipped(body.decode("utf-8", "replace"), 500)),
        )
        with suppress(*_AWAY):  # it is in the log, and comes again
            quarantine.keep(provider.name, str(error), body=body, headers=request.headers)
        return AckOutcome.MALFORMED
    try:
        with transaction.atomic():
            for event in found:
                intake.accept(provider.name, event, body=body, headers=request.headers)
    except _AWAY as error:
        log.error(
            "the database is away, %s is asked to send its callback again: %s", provider.name, error
        )
        return AckOutcome.TRY_AGAIN
    return AckOutcome.ACCEPTED


def _answer(request: HttpRequest, provider: Provider, outcome: AckOutcome) -> HttpResponse:
    ack = provider.ack(outcome)
    if outcome in _REFUSED and not ack.body:
        return problem(request, ack.status, outcome, _REFUSED[outcome])
    return HttpResponse(ack.body, status=ack.status, content_type=ack.content_type)


def _address(request: HttpRequest) -> str:
    return str(request.META.get("REMOTE_ADDR", "?"))
