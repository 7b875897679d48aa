"""What was given can be taken back, and it is one question to the database whether it was."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from orders import access
from orders.access import Invalidation, TokenRevoked, revocation
from orders.models import Revocation
from tests.builders import an_order
from tests.people import SERVICE

pytestmark = pytest.mark.usefixtures("database")


def test_a_revoked_token_is_refused_and_others_are_not() -> None:
    ref = an_order().ref
    lost, kept = access.issue_grant([ref]), access.issue_grant([ref])

    call_command(
        "revoke", "--token", lost, "--reason", "sent to the wrong address", stdout=StringIO()
    )

    with pytest.raises(TokenRevoked):
        access.read_grant(lost)
    assert access.read_grant(kept).refs == {ref}


def test_all_grants_for_an_order_are_revoked_at_once_and_a_new_one_is_good() -> None:
    one, two = an_order().ref, an_order().ref
    old, both, other = (access.issue_grant(refs) for refs in ([one], [one, two], [two]))

    call_command("revoke", "--order", one, stdout=StringIO())

    assert [_stands(token) for token in (old, both, other)] == [False, False, True]
    assert _stands(access.issue_grant([one]))


def test_all_tokens_of_a_service_are_revoked() -> None:
    old = access.issue_service_token("billing", ["refresh"])
    other = access.issue_service_token("shop", ["refresh"])

    call_command("revoke", "--service", "billing", stdout=StringIO())

    assert [_stands(old), _stands(other), _stands(SERVICE)] == [False, True, True]
    assert _stands(access.issue_service_token("billing", ["refresh"]))


def _stands(token: str) -> bool:
    try:
        access.authenticate(token)
    except TokenRevoked:
        return False
    return True


def _change_password(user: Any) -> None:
    user.set_password("quite-another-one")
    user.save()


def _deactivate(user: Any) -> None:
    user.is_active = False
    user.save()


def _revoke(user: Any) -> None:
    call_command("revoke", "--user", user.username, stdout=StringIO())


ENDS: dict[str, Callable[[Any], None]] = {
    "changed password": _change_password,
    "deactivated": _deactivate,
    "deleted": lambda user: user.delete(),
    "revoked": _revoke,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS.keys())
def test_what_ends_a_user_ends_their_tokens_and_log_ins(
    user: Callable[..., Any], logged_in: Callable[[Any], Client], end: Callable[[Any], None]
) -> None:
    rosa, other = user("rosa"), user("other")
    held = [access.read_token(access.issue_user_token(u)) for u in (rosa, other)]
    sessions = [access.of_session(u, logged_in(u).session.session_key) for u in (rosa, other)]
    assert not access.invalidated([*held, *sessions])

    end(rosa)

    assert access.invalidated([*held, *sessions]) == {
        held[0]: Invalidation.REVOKED,
        sessions[0]: Invalidation.REVOKED,
    }


def test_logging_out_ends_that_log_in_and_no_other(
    user: Callable[..., Any], logged_in: Callable[[Any], Client]
) -> None:
    rosa = user("rosa")
    here, there = logged_in(rosa), logged_in(rosa)
    held = [access.of_session(rosa, c.session.session_key) for c in (here, there)]

    here.logout()

    assert access.invalidated(held) == {held[0]: Invalidation.REVOKED}


def test_a_token_issued_after_the_password_was_changed_is_good(user: Callable[..., Any]) -> None:
    rosa = user("rosa")
    _change_password(rosa)

    assert not access.invalidated([access.read_token(access.issue_user_token(rosa))])


def test_a_thousand_credentials_are_one_query(user: Callable[..., Any]) -> None:
    rosa = user("rosa")
    ref = an_order().ref
    held = [access.read_token(access.issue_grant([ref])) for _ in range(400)]
    held += [access.read_token(access.issue_user_token(rosa)) for _ in range(400)]
    held += [access.read_token(access.issue_service_token("x", ["refresh"])) for _ in range(400)]
    revocation.revoke(revocation.token_of(held[7]), actor="test")
    long_ago = timezone.now() - timedelta(seconds=1)
    expired = replace(held[0], token_id="x", expires_at=long_ago)

    with CaptureQueriesContext(connection) as queries:
        found = access.invalidated([*held, expired])

    assert found == {held[7]: Invalidation.REVOKED, expired: Invalidation.EXPIRED}
    assert len(queries) == 1


def test_rows_that_revoke_nothing_any_more_are_removed_with_the_next_one() -> None:
    gone = revocation.revoke("token:old", actor="test", until=None)
    gone.until = gone.at - timedelta(seconds=1)
    gone.save()

    revocation.revoke("token:new", actor="test")

    assert list(Revocation.objects.values_list("what", flat=True)) == ["token:new"]


class TestTheCommand:
    def test_issues_what_was_asked_for(self, user: Callable[..., Any]) -> None:
        rosa, ref = user("rosa"), an_order().ref

        issued = [
            access.authenticate(_issue(*words))
            for words in (
                ("--user", "rosa"),
                ("--order", ref, "--lifetime", "90s"),
                ("--service", "billing", "--scope", "refresh", "orders:read"),
            )
        ]

        assert [c.actor for c in issued] == [f"user:{rosa.pk}", "grant", "service:billing"]

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            (("--user", "nobody"), "no active user"),
            (("--order", "0" * 32), "no order"),
            (("--service", "billing"), "--scope is missing"),
            (("--service", "a b", "--scope", "refresh"), "name"),
            (("--service", "a", "--scope", "refresh", "--lifetime", "9000d"), "at most 366d"),
            (("--service", "a", "--scope", "refresh", "--lifetime", "soon"), "30m"),
        ],
    )
    def test_says_what_is_wrong_in_one_line(self, words: tuple[str, ...], says: str) -> None:
        with pytest.raises(CommandError, match=says):
            _issue(*words)


def _issue(*words: str) -> str:
    out = StringIO()
    call_command("issue_token", *words, stdout=out)
    return out.getvalue().strip()


def test_a_token_can_be_revoked_in_the_very_moment_of_its_birth() -> None:
    ref = an_order().ref
    tokens = [access.read_token(access.issue_grant([ref])) for _ in range(50)]
    for token in tokens:
        revocation.revoke(revocation.token_of(token), actor="test")
        last = access.read_token(access.issue_grant([ref]))
        revocation.revoke(revocation.order(ref), actor="test")
        assert access.invalidated([last])

    assert set(access.invalidated(tokens)) == set(tokens)
