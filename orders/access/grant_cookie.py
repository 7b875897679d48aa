"""The cookie that a grant in an address is exchanged for, so that the address can be clean.

Addresses end up in logs, histories and screenshots; a cookie does not, and no script can read this one. It holds the
grant for one order and goes only where that order's page needs it: to the page and its receipt, its API, its socket. So
any number of orders can be open in one browser.

Limit: browsers keep some 180 cookies for a host, three of them for each order here, and forget the oldest.
"""

from collections.abc import Mapping

from django.conf import settings
from django.http import HttpResponse

from orders import clock
from orders.access.credentials import Credentials
from orders.access.tokens import narrowed

API = "ordercast_grant_api"
SOCKET = "ordercast_grant_socket"
# A name for each path, since an answer sets a name once. What stands behind the paths is below them.
_PATHS = {
    "ordercast_grant": "/orders/{}/",
    API: "/api/orders/{}",
    SOCKET: "/ws/orders/{}/",
}


def put(answer: HttpResponse, grant: Credentials, ref: str) -> None:
    """Let the browser show the order `ref` by this grant, for as long as the grant is good."""
    token = narrowed(grant, ref)
    left = grant.expires_at - clock.now() if grant.expires_at else None
    for name, path in _PATHS.items():
        answer.set_cookie(
            name,
            token,
            max_age=left,
            path=path.format(ref),
            secure=settings.SESSION_COOKIE_SECURE,
            httponly=True,
            # Not "Strict": who comes from the shop's mail or from the checkout is to see the order at once.
            samesite="Lax",
        )


def in_cookies(cookies: Mapping[str, str]) -> str:
    """The grant that the browser shows, "" for none."""
    return next((cookies[name] for name in _PATHS if cookies.get(name)), "")
