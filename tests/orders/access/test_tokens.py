"""What a token must be in order to be believed."""

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from orders import access
from orders.access import BadToken, Kind, Scope, TokenExpired, TokenRevoked, jwks
from tests.orders.access import keys

SECRET = "a-secret-of-this-test-that-is-32-characters-long"
OTHER = "another-secret-of-this-test-that-is-long-enough"
REF = "a" * 32


@pytest.fixture(autouse=True)
def secrets(settings: Settings) -> Iterator[None]:
    settings.ORDERCAST_TOKEN_KEYS = [SECRET]
    settings.ORDERCAST_TOKEN_ISSUER = keys.ISSUER
    settings.ORDERCAST_TOKEN_USER_CLAIM = "sub"
    yield
    jwks.keyring.cache_clear()


def test_a_grant_lists_orders_and_nothing_else() -> None:
    read = access.read_token(access.issue_grant([REF]))

    assert (read.kind, read.refs, read.scopes, read.user_id) == (
        Kind.GRANT, frozenset({REF}), frozenset(), None
    )  # fmt: skip


def test_a_service_token_carries_the_scopes_that_it_was_given() -> None:
    read = access.read_token(access.issue_service_token("billing", ["orders:read", "refresh"]))

    assert (read.kind, read.subject) == (Kind.SERVICE, "billing")
    assert read.scopes == {Scope.READ_ORDERS, Scope.REFRESH}


def test_a_scope_that_there_is_not_is_refused_when_the_token_is_made() -> None:
    with pytest.raises(ValueError, match="orders:everything"):
        access.issue_service_token("billing", ["orders:everything"])


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_a_service_without_a_name_or_with_one_that_no_table_holds_gets_no_token(name: str) -> None:
    with pytest.raises(ValueError, match="1 to 100 characters"):
        access.issue_service_token(name, ["refresh"])


def test_a_name_that_no_table_holds_is_refused_whoever_has_signed_it() -> None:
    longest = {"kind": "service", "sub": "x" * 100, "scope": "refresh"}
    assert access.read_token(signed(longest)).subject == "x" * 100

    with pytest.raises(BadToken, match="longer than 100"):
        access.read_token(signed(longest | {"sub": "x" * 101}))


def test_a_token_that_has_run_out_says_so() -> None:
    grant = access.issue_grant([REF], timedelta(seconds=-1))

    with pytest.raises(TokenExpired):
        access.read_token(grant)


def test_a_token_of_the_old_key_is_good_while_that_key_is_listed(settings: Settings) -> None:
    old = access.issue_grant([REF])
    settings.ORDERCAST_TOKEN_KEYS = [OTHER, SECRET]
    new = access.issue_grant([REF])

    assert access.read_token(old).refs == access.read_token(new).refs == {REF}
    settings.ORDERCAST_TOKEN_KEYS = [OTHER]
    assert access.read_token(new).refs == {REF}
    with pytest.raises(BadToken):
        access.read_token(old)


def signed(claims: dict[str, Any], key: str = SECRET, **more: Any) -> str:
    good = {"aud": "ordercast", "exp": time.time() + 600}
    return jwt.encode(good | claims, key, algorithm="HS256", **more)


NONSENSE = {
    "not a token": "nonsense",
    "empty": "",
    "dots": "..",
    "huge": "a" * 100_000,
    "a NUL": "a\x00b.c.d",
    "a surrogate": "\ud800",
    "another's key": signed({"orders": [REF]}, OTHER),
    "another audience": signed({"orders": [REF], "aud": "elsewhere"}),
    "no audience": signed({"orders": [REF], "aud": None}),
    "no end": jwt.encode({"aud": "ordercast", "orders": [REF]}, SECRET, algorithm="HS256"),
    "an end beyond time": signed({"orders": [REF], "exp": 10**30}),
    "an endless end": signed({"orders": [REF], "exp": float("inf")}),
    "an end in words": signed({"orders": [REF], "exp": "tomorrow"}),
    "orders that are no list": signed({"orders": REF}),
    "orders that are no texts": signed({"orders": [1]}),
    "a kind that there is not": signed({"kind": "admin", "sub": "1"}),
    "a user without an id": signed({"kind": "user"}),
    "a user by name": signed({"kind": "user", "sub": "rosa"}),
    "a user with a huge id": signed({"kind": "user", "sub": "9" * 40}),
    "an Arabic digit": signed({"kind": "user", "sub": "٣"}),
    "scopes that are no text": signed({"kind": "service", "sub": "x", "scope": ["refresh"]}),
    "unsigned": jwt.encode({"aud": "ordercast", "exp": 9e9, "orders": [REF]}, "", algorithm="none"),
    "another algorithm": jwt.encode(
        {"aud": "ordercast", "exp": 9e9, "orders": [REF]}, SECRET * 2, algorithm="HS512"
    ),
    "a key id of another type": signed({"orders": [REF]}, headers={"kid": "unheard-of"}),
}


@pytest.mark.parametrize("token", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_is_refused_and_never_an_error(token: str) -> None:
    with pytest.raises(BadToken):
        access.read_token(token)


class TestAnIdentityProvider:
    def test_its_tokens_name_users(self, settings: Settings, tmp_path: Path) -> None:
        key, other = keys.rsa(), keys.ed25519()
        file = tmp_path / "jwks.json"
        file.write_text(keys.key_set(one=key, two=other))
        settings.ORDERCAST_TOKEN_JWKS = str(file)

        for name, private in (("one", key), ("two", other)):
            read = access.read_token(keys.token(private, name, sub="7"))
            assert (read.kind, read.user_id) == (Kind.USER, 7)

    def test_a_token_of_another_issuer_is_refused(self, settings: Settings, tmp_path: Path) -> None:
        key = keys.rsa()
        file = tmp_path / "jwks.json"
        file.write_text(keys.key_set(one=key))
        settings.ORDERCAST_TOKEN_JWKS = str(file)

        with pytest.raises(BadToken):
            access.read_token(keys.token(key, "one", sub="7", iss="https://elsewhere.example/"))

    def test_its_public_key_is_not_taken_for_a_shared_secret(
        self, settings: Settings, tmp_path: Path
    ) -> None:
        key = keys.rsa()
        document = keys.key_set(one=key)
        file = tmp_path / "jwks.json"
        file.write_text(document)
        settings.ORDERCAST_TOKEN_JWKS = str(file)

        with pytest.raises(BadToken):
            access.read_token(keys.forged_with(document.encode(), "one", sub="7"))

    def test_a_weak_key_of_its_is_not_believed(self, settings: Settings, tmp_path: Path) -> None:
        key = keys.rsa(1024)
        file = tmp_path / "jwks.json"
        file.write_text(keys.key_set(one=key))
        settings.ORDERCAST_TOKEN_JWKS = str(file)

        with (
            pytest.warns(jwt.InsecureKeyLengthWarning),
            pytest.raises(BadToken),
        ):
            access.read_token(keys.token(key, "one", sub="7"))

    def test_an_outage_keeps_the_known_keys(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        key = keys.ed25519()
        monkeypatch.setattr(jwks, "PAUSE", 0.0)
        monkeypatch.setattr(jwks, "FRESH", 0.0)
        with keys.KeyServer(keys.key_set(one=key)).running() as server:
            settings.ORDERCAST_TOKEN_JWKS = server.url
            access.read_token(keys.token(key, "one", sub="7"))
            server.is_down = True

            with pytest.raises(BadToken):
                access.read_token(keys.token(keys.ed25519(), "two", sub="7"))
            assert access.read_token(keys.token(key, "one", sub="7")).user_id == 7
            assert server.asked >= 2

    def test_a_key_that_is_new_there_is_fetched_and_no_stranger_can_make_us_ask_often(
        self, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        old, new = keys.ed25519(), keys.ed25519()
        with keys.KeyServer(keys.key_set(one=old)).running() as server:
            settings.ORDERCAST_TOKEN_JWKS = server.url
            access.read_token(keys.token(old, "one", sub="7"))
            server.document = keys.key_set(one=old, two=new)
            for _ in range(50):
                with pytest.raises(BadToken):
                    access.read_token(keys.token(new, "two", sub="7"))
            assert server.asked == 1

            monkeypatch.setattr(jwks, "PAUSE", 0.0)
            assert access.read_token(keys.token(new, "two", sub="7")).user_id == 7


class TestWhatAnIdentityProviderMaySay:
    """Who somebody is, by a claim that is configured, and nothing else."""

    @pytest.fixture(autouse=True)
    def key(self, settings: Settings, tmp_path: Path) -> Any:
        key = keys.ed25519()
        file = tmp_path / "jwks.json"
        file.write_text(keys.key_set(one=key))
        settings.ORDERCAST_TOKEN_JWKS = str(file)
        return key

    @pytest.mark.parametrize(
        "claims",
        [
            {"kind": "service", "scope": "orders:read orders:write"},
            {"kind": "grant", "orders": [REF]},
            {"orders": [REF]},
            {"kind": None},
        ],
    )
    def test_never_a_service_and_never_a_grant(self, key: Any, claims: dict[str, Any]) -> None:
        with pytest.raises(BadToken, match="must be user tokens"):
            access.read_token(keys.token(key, "one", sub="7", **claims))

    def test_without_a_configured_claim_nobody(self, key: Any, settings: Settings) -> None:
        settings.ORDERCAST_TOKEN_USER_CLAIM = ""

        with pytest.raises(BadToken, match="ORDERCAST_TOKEN_USER_CLAIM is not set"):
            access.read_token(keys.token(key, "one", sub="7"))

    @pytest.mark.parametrize("value", ["9", 9])
    def test_the_configured_claim_and_no_other_names_the_user(
        self, key: Any, settings: Settings, value: object
    ) -> None:
        settings.ORDERCAST_TOKEN_USER_CLAIM = "shop_user"

        assert access.read_token(keys.token(key, "one", sub="7", shop_user=value)).user_id == 9

    @pytest.mark.parametrize("value", [None, True, "", "rosa", "-1", "1.0", 1.5, ["1"], "9" * 40])
    def test_what_is_no_users_id_names_nobody(
        self, key: Any, settings: Settings, value: object
    ) -> None:
        settings.ORDERCAST_TOKEN_USER_CLAIM = "shop_user"

        with pytest.raises(BadToken):
            access.read_token(keys.token(key, "one", sub="7", shop_user=value))

    def test_the_configured_audience_is_asked_for(self, key: Any, settings: Settings) -> None:
        settings.ORDERCAST_TOKEN_AUDIENCE = "https://pay.example.com"

        with pytest.raises(BadToken):
            access.read_token(keys.token(key, "one", sub="7"))
        token = keys.token(key, "one", sub="7", aud=["https://pay.example.com", "other"])
        assert access.read_token(token).user_id == 7

    def test_a_token_of_ten_years_is_accepted_for_a_day(self, key: Any) -> None:
        now = int(time.time())

        def read(iat: int) -> access.Credentials:
            return access.read_token(
                keys.token(key, "one", sub="7", iat=iat, exp=now + 315_360_000)
            )

        left = read(now).expires_at
        assert left is not None
        assert left.timestamp() <= now + 86_400
        with pytest.raises(TokenExpired, match="ORDERCAST_TOKEN_LIFETIME"):
            read(now - 90_000)

    def test_a_long_token_that_does_not_say_when_it_began_is_refused(self, key: Any) -> None:
        with pytest.raises(BadToken, match="no `iat`"):
            access.read_token(keys.token(key, "one", sub="7", exp=int(time.time()) + 90_000))

    def test_a_mark_of_a_password_is_not_the_providers_to_give(self, key: Any) -> None:
        assert access.read_token(keys.token(key, "one", sub="7", pwm="x")).password_mark == ""

    @pytest.mark.usefixtures("database")
    @pytest.mark.parametrize("is_staff", [False, True])
    @pytest.mark.parametrize("opted_in", [False, True])
    def test_staff_only_where_that_is_configured(
        self, key: Any, settings: Settings, is_staff: bool, opted_in: bool
    ) -> None:
        settings.ORDERCAST_TOKEN_STAFF = opted_in
        user = User.objects.create_user("rosa", is_staff=is_staff)
        token = keys.token(key, "one", sub=str(user.pk))

        if is_staff and not opted_in:
            with pytest.raises(TokenRevoked):
                access.authenticate(token)
        else:
            assert access.authenticate(token).user_id == user.pk
        # Ours says so itself, whatever is configured for others'.
        assert access.authenticate(access.issue_user_token(user)).user_id == user.pk

    @pytest.mark.usefixtures("database")
    def test_a_superuser_is_staff(self, key: Any) -> None:
        user = User.objects.create_superuser("rosa", is_staff=True)
        User.objects.update(is_staff=False)

        with pytest.raises(TokenRevoked):
            access.authenticate(keys.token(key, "one", sub=str(user.pk)))
