"""Is this process alive, and is it of use? For load balancers, containers and `manage.py up`.

Anybody may ask, so an answer costs little and says little: what was found is kept for a moment, however many ask, and
what the parts say of themselves is for the operator alone.
"""

import ipaddress
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import redis
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse

from orders import access, clock
from orders.access import Kind
from orders.database import UNAVAILABLE, ReadOnly
from realtime.hub import local

PROBES = ("/health/live", "/health/ready")  # answered whatever host they are asked by
FRESH = 1.0  # seconds that an answer of the parts serves
SILENT = 3.0  # seconds after which a database that says nothing counts as away
OK = "ok"
LIVE = "/health/live"
ALIVE = b"alive\n"
_FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


class _Found(NamedTuple):
    database: str
    valkey: str


_SILENT = _Found("away: no answer yet", "unknown")


def live(_request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers. The gateway says so itself, without a thread that might have to wait."""
    return HttpResponse(ALIVE, content_type="text/plain")


def ready(request: HttpRequest) -> JsonResponse:
    """200 while the database answers and takes writes, else 503.

    A Valkey that is away makes pages slower, not wrong: still 200. A process that is about to go away is not ready
    either, so that no page is sent to it any more. Why, only whoever asks from this machine, or with a service token,
    is told.
    """
    found = _parts.look()
    is_ready = found.database == OK and not local.is_draining()
    shown: dict[str, object] = {"is_ready": is_ready}
    if _is_operator(request):
        shown = {**found._asdict(), "clock": _clock(), "hub": local.health()}
    return JsonResponse(shown, status=200 if is_ready else 503)


def _is_operator(request: HttpRequest) -> bool:
    return _is_from_here(request) or _has_service_token(request)


def _is_from_here(request: HttpRequest) -> bool:
    """From this machine, and not through a proxy on it that speaks for somebody else."""
    if any(name in request.META for name in _FORWARDED):
        return False
    try:
        address = ipaddress.ip_address(request.META.get("REMOTE_ADDR", ""))
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def _has_service_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return False
    try:
        return access.authenticate(token.strip()).kind is Kind.SERVICE
    except (access.BadToken, *UNAVAILABLE):
        return False


class _Parts:
    """What was found last. One asks at a time; the others get what was found before, and do not fill the threads while
    a part is silent."""

    def __init__(self, find: Callable[[], _Found]) -> None:
        self._find = find
        self._found: _Found | None = None
        self._found_at = self._asked_at = float("-inf")
        self._lock = threading.Lock()

    def look(self) -> _Found:
        found = self._found
        if found is not None and time.monotonic() - self._found_at <= FRESH:
            return found
        # Only at the very first there is nothing to say until the parts have answered.
        if not self._lock.acquire(blocking=found is None) and found is not None:
            return found if time.monotonic() - self._asked_at <= SILENT else _SILENT
        try:
            if self._found is None or time.monotonic() - self._found_at > FRESH:
                self._asked_at = time.monotonic()
                self._found = self._find()
                self._found_at = time.monotonic()
            return self._found
        finally:
            self._lock.release()


def _database() -> str:
    try:
        # A primary that was demoted answers on the connections that are open, as if nothing had happened.
        with connection.cursor() as cursor:
            cursor.execute("SHOW transaction_read_only")
            (is_read_only,) = cursor.fetchone()
        if is_read_only == "on":
            connection.let_go()  # type: ignore[attr-defined] # of orders.database
            raise ReadOnly("the server takes no writes")
    except UNAVAILABLE as error:
        said = "read-only" if isinstance(error, ReadOnly) else "away"
        return f"{said}: {error}".strip()
    return OK


def _clock() -> str:
    """Said, and no reason to be sent no pages: `orders.clock` corrects it."""
    return f"skew: {clock.skew():+.1f} s from PostgreSQL's" if clock.is_skewed() else OK


def _valkey() -> str:
    try:
        _client(settings.VALKEY_URL).ping()
    except redis.RedisError as error:
        return f"away: {error}"
    return OK


@lru_cache(maxsize=1)
def _client(url: str) -> redis.Redis:
    """Its one connection is kept."""
    options = {
        "socket_connect_timeout": settings.VALKEY_TIMEOUT,
        "socket_timeout": settings.VALKEY_TIMEOUT,
    }
    return redis.Redis.from_url(url, **options)


def _find() -> _Found:
    return _Found(_database(), _valkey())


_parts = _Parts(_find)
