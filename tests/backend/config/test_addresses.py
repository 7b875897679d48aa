"""Addresses in the environment: what libpq and redis-py understand works; a bad one is a line without secrets."""

import os
import subprocess
import sys

import pytest

from backend.config import addresses

SECRET = "hush"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://me:hu%2Fsh%23%3F%40@db:5433/name",
            {"user": "me", "password": "hu/sh#?@", "host": "db", "port": "5433", "dbname": "name"},
        ),
        (
            "postgresql://me:hu#sh@db/name",
            {"user": "me", "password": "hu#sh", "host": "db", "dbname": "name"},
        ),
        (
            "postgres://me@db1:5432,db2:5433/name?target_session_attrs=primary&sslmode=verify-full",
            {
                "user": "me", "host": "db1,db2", "port": "5432,5433", "dbname": "name",
                "target_session_attrs": "primary", "sslmode": "verify-full",
            },
        ),
        (
            "postgresql://postgres@/name?host=/var/run/postgresql",
            {"user": "postgres", "dbname": "name", "host": "/var/run/postgresql"},
        ),
    ],
)  # fmt: skip
def test_a_database_is_named_as_libpq_names_it(url: str, expected: dict[str, str]) -> None:
    assert addresses.database_url(url) == url
    assert dict(addresses.connection_parameters(url)) == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        (variable, value)
        for prefix in ("", "ORDERCAST_")
        for variable, value in [
            (f"{prefix}DATABASE_URL", f"postgresql://me:{SECRET}/sh@db/name"),
            (f"{prefix}DATABASE_URL", f"postgresql://me:12/{SECRET}@db/name"),
            (f"{prefix}DATABASE_URL", f"postgresql://me:{SECRET}@sh@db/name"),
            (f"{prefix}DATABASE_URL", f"postgresql://me:{SECRET}%zz@db/name"),
            (f"{prefix}DATABASE_URL", f"postgresql://me:{SECRET}@db:port/name"),
            (f"{prefix}DATABASE_URL", f"postgresql://db/name?pasword={SECRET}"),
            (f"{prefix}DATABASE_URL", f"postgresql://me:{SECRET}@[db/name"),
            (f"{prefix}DATABASE_URL", f"mysql://me:{SECRET}@db/name"),
            (f"{prefix}VALKEY_URL", f"redis://:{SECRET}/sh@valkey/0"),
            (f"{prefix}VALKEY_URL", f"redis://:{SECRET}#sh@valkey/0"),
            (f"{prefix}VALKEY_URL", f"redis://:{SECRET}@valkey:port/0"),
            (f"{prefix}VALKEY_URL", f"redis://:{SECRET}@valkey/zero"),
            (f"{prefix}VALKEY_URL", f"http://:{SECRET}@valkey"),
        ]
    ]
    + [
        ("ORDERCAST_HOUSE_URL", f"http://me:{SECRET}/sh@house"),
        ("ORDERCAST_HOUSE_URL", f"ftp://me:{SECRET}@house"),
        ("ORDERCAST_STRIPE_URL", f"http://me:{SECRET}@[stripe"),
        ("ORDERCAST_PUBLIC_URL", f"https://me:{SECRET}@pay.example.com"),
    ],
)
def test_a_bad_address_is_one_line_without_what_is_secret(variable: str, value: str) -> None:
    done = start({variable: value})

    assert done.returncode != 0
    (line,) = [row for row in done.stderr.splitlines() if variable in row]
    assert f"; for example {variable}=" in line
    assert SECRET not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("https://pay.example.com/shop", "a path"),
        ("https://pay.example.com/?a=b", "a query"),
        ("https://pay.example.com/#top", "a fragment"),
        ("https://me@pay.example.com", "a user"),
        ("https://pay.example.com/shop?a=b", "a path or a query"),
    ],
)
def test_pages_need_a_host_name_of_their_own(value: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"without {wrong}:"):
        addresses.site(value)


@pytest.mark.parametrize(
    "value", ["https://", "https:///shop", "pay.example.com", "https://:443", "ftp://pay"]
)
def test_what_names_no_host_is_no_site(value: str) -> None:
    with pytest.raises(ValueError, match="must"):
        addresses.site(value)


def test_a_site_is_taken_with_a_slash_and_in_any_case() -> None:
    assert addresses.site("https://Pay.example.com:8443/") == "https://pay.example.com:8443"


@pytest.mark.parametrize(
    ("wish", "expected"),
    [
        (None, (31_536_000, False, False)),
        ("subdomains", (31_536_000, True, False)),
        ("preload", (31_536_000, True, True)),
    ],
)
def test_only_on_wish_more_than_the_host_is_told_to_https(
    wish: str | None, expected: tuple[int, bool, bool]
) -> None:
    wished = {} if wish is None else {"ORDERCAST_HSTS": wish}

    done = start({"ORDERCAST_PUBLIC_URL": "https://pay.example.com", **wished})

    assert done.stdout.strip() == str(expected), done.stderr


def start(variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    names = "SECURE_HSTS_SECONDS, s.SECURE_HSTS_INCLUDE_SUBDOMAINS, s.SECURE_HSTS_PRELOAD"
    code = f"import backend.settings as s; print((s.{names}))"
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "ORDERCAST_DEMO": "true", **variables},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
