"""The cookie of an order's page at its socket and event stream: a grant, and from our own pages alone."""

import pytest

from orders import access
from realtime.access.authentication import Access, Denied, access_in

REF = "a" * 32


def cookies(token: str) -> dict[str, str]:
    return {"ordercast_grant_socket": token}


def test_it_shows_its_order() -> None:
    shown = Access()
    shown.add_cookies(cookies(access.issue_grant([REF])))

    assert shown.named() == frozenset({REF})


def test_a_services_token_in_it_is_nothing() -> None:
    shown = Access()
    shown.add_cookies(cookies(access.issue_service_token("shop", ["orders:read"])))

    assert shown.is_empty


def test_a_stale_one_keeps_nobody_out_who_has_a_session() -> None:
    shown = Access()
    shown.add_cookies(cookies("nonsense") | {"sessionid": "x"})
    assert shown.session_key == "x"

    with pytest.raises(Denied):
        Access().add_cookies(cookies("nonsense"))


@pytest.mark.parametrize(
    ("origin", "counts"), [("http://127.0.0.1:8000", True), ("https://evil.example", False)]
)
def test_from_a_page_of_another_site_it_does_not_count(origin: str, counts: bool) -> None:
    headers = {
        b"origin": origin,
        b"host": "127.0.0.1:8000",
        b"cookie": f"ordercast_grant_socket={access.issue_grant([REF])}",
    }

    assert access_in(headers, {}, ()).is_empty is not counts
