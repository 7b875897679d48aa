"""Counts tries to log in, by address and by account: passwords cannot be guessed quickly, nor from many addresses.

Nobody can lock an account's owner out for good by guessing: whoever has logged in with a browser before has a budget
of their own there (a device cookie, as OWASP calls it), which strangers cannot use up; and in a browser that is new,
the account's next window begins within minutes. Limit: as long as somebody goes on guessing from many addresses, the
owner gets in only with a browser that is known.
"""

import hashlib
import secrets
import unicodedata
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse

from backend.http.page_throttle import address_of, too_many
from orders.security import rate_limits
from orders.security.rate_limits import LimitScope, TooMany

PATHS = ("/login/", "/admin/login/")
DEVICE = "device"  # the cookie
DEVICE_LIFETIME = timedelta(days=365)
_SALT = "ordercast.login.device"


def limit_logins(
    answer: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Django middleware: at most so many tries for each address, and for each account, and then 429."""

    def limited(request: HttpRequest) -> HttpResponse:
        if request.method != "POST" or request.path not in PATHS:
            return answer(request)
        try:
            rate_limits.admit(LimitScope.LOGIN, rate_limits.client(address_of(request)))
            account = _account(request.POST.get("username", ""))
            device = _device_of(request, account)
            rate_limits.admit(LimitScope.ACCOUNT, device or account)
        except TooMany as many:
            return too_many(request, many)
        response = answer(request)
        user: Any = getattr(request, "user", None)
        if device is None and user is not None and user.is_authenticated:
            _remember(response, _account(user.get_username()))
        return response

    return limited


def _account(username: str) -> str:
    """What counts as one account, whether there is one or not."""
    name = unicodedata.normalize("NFKC", username[:512]).strip().casefold()
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _device_of(request: HttpRequest, account: str) -> str | None:
    """The browser's own name, if this account has logged in with it before."""
    try:
        known = signing.loads(request.COOKIES.get(DEVICE, ""), salt=_SALT, max_age=DEVICE_LIFETIME)
    except signing.BadSignature:
        return None
    is_its = isinstance(known, list) and len(known) == 2 and known[0] == account
    return f"device:{known[1]}" if is_its else None


def _remember(response: HttpResponse, account: str) -> None:
    response.set_cookie(
        DEVICE,
        signing.dumps([account, secrets.token_urlsafe(12)], salt=_SALT),
        max_age=DEVICE_LIFETIME,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )
