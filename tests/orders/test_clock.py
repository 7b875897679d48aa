"""One time for all processes of an installation, whatever their machines' clocks say."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from orders import access, clock
from orders.access import TokenRevoked, revocation
from orders.commands import expiry, lifecycle
from orders.domain.cause import Cause, Source
from tests.builders import an_order
from tests.orders.access import keys
from tests.skew import skewed

API = Cause(Source.API, "shop")
Environment = dict[str, str]


def run(environment: Environment, code: str) -> tuple[str, str]:
    """What a process of ours prints, and what it logs."""
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup()\n{code}"],
        env={**environment, "DJANGO_SETTINGS_MODULE": "backend.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.mark.parametrize("seconds", [-3600, -60, 60, 3600])
def test_a_process_whose_clock_is_wrong_has_the_time_of_all_and_says_so(
    child_environment: Environment, seconds: int
) -> None:
    code = "from orders import clock; clock.measure(); print(clock.now().isoformat())"

    printed, log = run(skewed(child_environment, seconds), code)

    assert abs(datetime.fromisoformat(printed) - timezone.now()) < timedelta(seconds=10)
    assert "clock skew" in log
    assert f"{abs(seconds)}.0 s {'ahead of' if seconds > 0 else 'behind'}" in log


def test_a_process_whose_clock_is_right_is_left_alone(child_environment: Environment) -> None:
    code = "from orders import clock; clock.measure(); print(clock.skew())"

    assert run(child_environment, code) == ("-0.0", "")


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_grant_of_a_process_whose_clock_is_wrong_is_revoked_like_any(
    database: None, child_environment: Environment, seconds: int
) -> None:
    ref = an_order().ref
    code = f"from orders import access; print(access.issue_grant([{ref!r}]))"
    grant, _ = run(skewed(child_environment, seconds), code)
    assert access.read_grant(grant).refs == {ref}

    revocation.revoke(revocation.order(ref), actor="test")

    with pytest.raises(TokenRevoked):
        access.authenticate(grant)
    assert access.read_grant(access.issue_grant([ref])).refs == {ref}


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_process_whose_clock_is_wrong_revokes_what_was_issued_and_nothing_later(
    database: None, child_environment: Environment, seconds: int
) -> None:
    ref = an_order().ref
    old = access.issue_grant([ref])

    run(
        skewed(child_environment, seconds),
        f"from django.core.management import call_command; call_command('revoke', order={ref!r})",
    )

    with pytest.raises(TokenRevoked):
        access.authenticate(old)
    assert access.read_grant(access.issue_grant([ref])).refs == {ref}


def test_a_process_whose_clock_is_wrong_reads_tokens_by_the_time_of_all(
    database: None, child_environment: Environment
) -> None:
    ref = an_order().ref
    lasting = access.issue_grant([ref], timedelta(minutes=30))
    over = access.issue_grant([ref], timedelta(minutes=-1))
    code = (
        "from orders import access, clock; clock.measure()\n"
        f"for token in {[lasting, over]}:\n"
        "    try: print(sorted(access.read_grant(token).refs))\n"
        "    except access.TokenExpired: print('expired')"
    )

    ahead, _ = run(skewed(child_environment, 3600), code)
    behind, _ = run(skewed(child_environment, -3600), code)

    assert ahead.splitlines() == behind.splitlines() == [str([ref]), "expired"]


def test_another_issuers_clock_that_is_ahead_saves_no_token_from_a_revocation(
    settings: Settings, tmp_path: Path, user: Callable[..., Any]
) -> None:
    key, rosa = keys.ed25519(), user("rosa")
    (tmp_path / "jwks.json").write_text(keys.key_set(one=key))
    settings.ORDERCAST_TOKEN_JWKS = str(tmp_path / "jwks.json")
    settings.ORDERCAST_TOKEN_ISSUER = keys.ISSUER
    settings.ORDERCAST_TOKEN_USER_CLAIM = "sub"
    token = keys.token(key, "one", sub=str(rosa.pk), iat=int(time.time()) + 50)
    access.authenticate(token)

    revocation.revoke(revocation.user(rosa.pk), actor="test")

    with pytest.raises(TokenRevoked):
        access.authenticate(token)


def test_an_order_does_not_expire_early_by_one_process_whose_clock_is_ahead(
    database: None, child_environment: Environment
) -> None:
    order, _ = lifecycle.create_order(total=1_000, currency="EUR", expires_in=1_800, cause=API)

    run(skewed(child_environment, 3600), "from workers import reconciler; reconciler.tick()")
    order.refresh_from_db()
    assert order.state == "created"

    late = clock.now() + timedelta(minutes=31)
    assert expiry.expire_order(order.ref, now=late, cause=API)
