"""The environment, read once and checked.

Raises `ImproperlyConfigured` with one line for each bad variable: its name, what it holds, and a good example.
"""

from pathlib import Path
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import ValidationError

from backend.config import addresses
from backend.config.paths import BASE_DIR
from backend.config.secrets import weakness
from backend.config.variables import ACCOUNTS, Environment

DEMO_TOKEN = "demo-service-token"  # noqa: S105 — refused outside the demo
# Whoever can read this can read the demo's; outside the demo they are refused.
_DEMO_SECRETS: dict[str, str | list[str]] = {
    "ORDERCAST_SECRET_KEY": "demo-only-secret-never-use-it-where-real-money-moves",
    "ORDERCAST_SERVICE_TOKEN": DEMO_TOKEN,
    "ORDERCAST_HOUSE_KEY": "demo-house-key",
    "ORDERCAST_HOUSE_WEBHOOK_SECRETS": [
        "whsec_ZGVtby1vbmx5LXdlYmhvb2stc2VjcmV0LW5ldmVyLWZvci1yZWFs"
    ],
}
# The least number of characters, for each; no message ever shows their values.
_SECRETS = {
    "ORDERCAST_SECRET_KEY": 32,
    "ORDERCAST_SERVICE_TOKEN": 16,
    "ORDERCAST_HOUSE_KEY": 8,
    "ORDERCAST_HOUSE_WEBHOOK_SECRETS": 24,
    "ORDERCAST_STRIPE_KEY": 8,
    "ORDERCAST_STRIPE_WEBHOOK_SECRETS": 24,
}
_TOKEN_KEY_LENGTH = 32
# Demo secrets, and those that stand as examples: in no place where a secret is needed.
_PUBLIC = frozenset(
    word
    for words in (
        *_DEMO_SECRETS.values(),
        *(Environment.model_fields[name].examples or [] for name in _SECRETS),
    )
    for word in ([words] if isinstance(words, str) else words)
    if "$(" not in word
)
_WHY_HTTPS = {
    "ORDERCAST_PUBLIC_URL": ": log-ins, links and callbacks go there",
    "ORDERCAST_HOUSE_URL": ": its key goes there",
    "ORDERCAST_STRIPE_URL": ": its key goes there",
}
# What these say after the scheme is a secret, as a rule.
_PASSWORDS = ("DATABASE_URL", "VALKEY_URL", "ORDERCAST_DATABASE_URL", "ORDERCAST_VALKEY_URL")


def read() -> Environment:
    """The checked environment. Raises `ImproperlyConfigured`."""
    try:
        environment = Environment()
    except ValidationError as wrong:
        bad = [
            _line(str(error["loc"][0]), _said(error), error["input"]) for error in wrong.errors()
        ]
        raise ImproperlyConfigured("\n".join(bad)) from None
    environment = environment.model_copy(
        update={
            "DATABASE_URL": environment.ORDERCAST_DATABASE_URL or environment.DATABASE_URL,
            "VALKEY_URL": environment.ORDERCAST_VALKEY_URL or environment.VALKEY_URL,
        }
    )
    if environment.ORDERCAST_DEMO:
        _refuse(_token_problems(environment))
        return _with_demo_secrets(environment)
    _refuse(_token_problems(environment) + _production_problems(environment))
    return environment


def table() -> str:
    """Every variable as a Markdown table, for the documentation: `python -m backend.config.environment` prints it."""
    rows = ["| variable | default | meaning | example |", "|---|---|---|---|"]
    for name, field in Environment.model_fields.items():
        default = field.get_default(call_default_factory=True, validated_data={})
        if isinstance(default, Path):
            default = default.relative_to(BASE_DIR)
        shown = ",".join(default) if isinstance(default, list) else str(default)
        cells = [
            f"`{name}`",
            f"`{shown}`" if shown else "",
            field.description,
            f"`{_example(name)}`",
        ]
        rows.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(rows)


def _line(name: str, problem: str, value: object = None) -> str:
    held = "" if value is None else f" (it is {_without_secrets(name, value)!r})"
    return f"{name} {problem}{held}; for example {name}={_example(name)}"


def _said(error: Any) -> str:
    """pydantic's words about a value, made to follow the variable's name."""
    message = str(error["msg"]).removeprefix("Value error, ").removeprefix("Input ")
    return message[:1].lower() + message[1:]


def _without_secrets(name: str, value: object) -> object:
    if name in (*_SECRETS, "ORDERCAST_TOKEN_KEYS"):
        return "…"
    if name.endswith(("_URL", "_JWKS")):
        return addresses.without_secrets(str(value), has_password=name in _PASSWORDS)
    _, at, after = str(value).rpartition("@")
    return f"…@{after}" if at else value


def _example(name: str) -> str:
    return str((Environment.model_fields[name].examples or [""])[0])


def _with_demo_secrets(environment: Environment) -> Environment:
    missing = {
        name: value for name, value in _DEMO_SECRETS.items() if not getattr(environment, name)
    }
    made = environment.model_copy(update=missing)
    if (
        not made.ORDERCAST_STRIPE_KEY
    ):  # the sandbox speaks Stripe too, with the same key and secrets
        stripe: dict[str, Any] = {
            "ORDERCAST_STRIPE_URL": made.ORDERCAST_HOUSE_URL,
            "ORDERCAST_STRIPE_KEY": made.ORDERCAST_HOUSE_KEY,
            "ORDERCAST_STRIPE_WEBHOOK_SECRETS": made.ORDERCAST_HOUSE_WEBHOOK_SECRETS,
        }
        return made.model_copy(update=stripe)
    if not made.ORDERCAST_STRIPE_WEBHOOK_SECRETS:
        # Stripe cannot call a demo back; asking it is enough. A secret that nobody knows refuses all callbacks.
        nobodys = [token_urlsafe(32)]
        return made.model_copy(update={"ORDERCAST_STRIPE_WEBHOOK_SECRETS": nobodys})
    return made


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ImproperlyConfigured("\n".join(problems))


def _token_problems(environment: Environment) -> list[str]:
    bad = []
    if any(len(key) < _TOKEN_KEY_LENGTH for key in environment.ORDERCAST_TOKEN_KEYS):
        bad.append(
            _line(
                "ORDERCAST_TOKEN_KEYS",
                f"must have at least {_TOKEN_KEY_LENGTH} characters in each key",
            )
        )
    if environment.ORDERCAST_TOKEN_JWKS and not environment.ORDERCAST_TOKEN_ISSUER:
        bad.append(_line("ORDERCAST_TOKEN_ISSUER", "must be set where ORDERCAST_TOKEN_JWKS is"))
    return bad


def _production_problems(environment: Environment) -> list[str]:
    bad = [
        _line(name, f"must be set, to at least {least} characters that nobody can guess")
        for name, least in _SECRETS.items()
        if _is_needed(environment, name)
        and any(len(secret) < least for secret in _words(getattr(environment, name)) or [""])
    ]
    bad += [
        _line(name, problem)
        for name in (*_SECRETS, "ORDERCAST_TOKEN_KEYS")
        for problem in sorted({weakness(w, _PUBLIC) for w in _words(getattr(environment, name))})
        if problem
    ]
    bad += [
        _line(name, f"must begin with https://, or lead to this machine{_WHY_HTTPS[name]}", url)
        for name in _WHY_HTTPS
        if _is_needed(environment, name)
        and not _is_safe_on_the_way(url := getattr(environment, name))
    ]
    if environment.ORDERCAST_DEBUG:
        bad.append(_line("ORDERCAST_DEBUG", "must be off outside the demo", value=True))
    if "*" in environment.ORDERCAST_HOSTS:
        bad.append(_line("ORDERCAST_HOSTS", "must name each host", "*"))
    if environment.ORDERCAST_TOKEN_JWKS.startswith("http://"):
        bad.append(_line("ORDERCAST_TOKEN_JWKS", "must be a file, or an https:// address"))
    return [*bad, "ORDERCAST_DEMO=true runs with the demo's secrets instead"] if bad else []


def _is_safe_on_the_way(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return (
        url.startswith("https://")
        or host == "localhost"
        or host.startswith("127.")
        or host == "::1"
    )


def _is_needed(environment: Environment, name: str) -> bool:
    account = name.split("_")[1].lower()
    return account not in ACCOUNTS or account in environment.ORDERCAST_PROVIDERS


def _words(value: str | list[str]) -> list[str]:
    return [word for word in ([value] if isinstance(value, str) else value) if word]


if __name__ == "__main__":
    print(table())
