"""How a guest comes to an order's page: by a link with a grant in it, or back from the checkout by a one-time code. A
cookie then stands for either.

At the first look the secret moves out of the address, so that it stands in no log, history or screenshot from then on.
No page is ever rendered at an address that holds one.
"""

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from orders import access
from orders.access import Credentials, grant_cookie, return_codes
from realtime.pubsub import names

GRANT = "grant"
LINK = "link"  # what a clean address says of the one that was no good
EXPIRED = "expired"  # a grant
USED = "used"  # a return code, or it was late
_OURS = (GRANT, return_codes.PARAMETER, LINK)


def exchange(request: HttpRequest, ref: str) -> HttpResponse | None:
    """On to the same page without the secret in its address, with a cookie where it was good; None without one."""
    if token := request.GET.get(GRANT):
        found, was = _read(token)
    elif (code := request.GET.get(return_codes.PARAMETER)) and request.method == "GET":
        found, was = return_codes.redeem(code, ref), USED
    else:
        return None
    is_good = found is not None and ref in found.refs
    said = "" if is_good or may_see(request, ref) else was
    answer = HttpResponseRedirect(_clean(request, said), status=303)
    if found is not None and is_good:
        grant_cookie.put(answer, found, ref)
    answer["Cache-Control"] = "no-store"
    return answer


def keep(request: HttpRequest, ref: str, answer: HttpResponse) -> HttpResponse:
    """With the cookie on it, where a form was sent by a page that still had the grant in its address."""
    if (token := request.GET.get(GRANT)) and (found := _read(token)[0]) and ref in found.refs:
        grant_cookie.put(answer, found, ref)
    return answer


def may_see(request: HttpRequest, ref: str) -> bool:
    """Whether the order may be seen by whoever is logged in, or by a grant."""
    if not names.is_ref(ref):
        return False
    return bool(access.visible_refs(request.user, [ref]) or grant_for(request, ref))


def shown_grants(request: HttpRequest) -> list[str]:
    """The grants that a request shows: by its cookie and, in a form of a page that was loaded before there was one, in
    its address."""
    shown = (grant_cookie.in_cookies(request.COOKIES), request.GET.get(GRANT, ""))
    return [token for token in shown if token]


def grant_for(request: HttpRequest, ref: str) -> Credentials | None:
    """The grant that shows the order, if the request has one that is good."""
    for token in shown_grants(request):
        found, _ = _read(token)
        if found is not None and ref in found.refs:
            return found
    return None


def link(request: HttpRequest) -> str:
    """Why the link that led to this clean address shows nothing: `EXPIRED`, `USED`, "" where nothing is known."""
    said = request.GET.get(LINK, "")
    return said if said in {EXPIRED, USED} else ""


def _read(token: str) -> tuple[Credentials | None, str]:
    """The grant, or why there is none."""
    try:
        return access.read_grant(token), ""
    except access.TokenExpired:
        return None, EXPIRED
    except access.BadToken:
        return None, ""


def _clean(request: HttpRequest, was: str) -> str:
    query = request.GET.copy()
    for name in _OURS:
        query.pop(name, None)
    if was:
        query[LINK] = was
    return f"{request.path}?{query.urlencode()}" if query else request.path
