"""What the environment may say, read once and checked. Each variable is described here and nowhere else.

Raises `ImproperlyConfigured` with one line for each bad variable: its name, what it holds, and a good example.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import AfterValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent

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
}
_TOKEN_KEY_LENGTH = 32


def _url(*schemes: str) -> AfterValidator:
    def check(value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in schemes or not (parts.netloc or parts.path.strip("/"))):
            raise ValueError(
                f"must be a URL that begins with {' or '.join(s + '://' for s in schemes)}"
            )
        return value.rstrip("/")

    return AfterValidator(check)


HttpUrl = Annotated[str, _url("http", "https")]
Names = Annotated[list[str], NoDecode]


class Environment(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    DATABASE_URL: Annotated[str, _url("postgresql", "postgres")] = Field(
        "",
        examples=["postgresql://ordercast:secret@db:5432/ordercast"],
        description="PostgreSQL 15 or later. Empty: the embedded one in ORDERCAST_DATA.",
    )
    VALKEY_URL: Annotated[str, _url("redis", "rediss", "unix")] = Field(
        "",
        examples=["redis://valkey:6379/0"],
        description="Valkey or Redis: broker, channel layer, cache. Empty: the embedded one.",
    )
    ORDERCAST_DATA: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        BASE_DIR / ".data",
        examples=["/var/lib/ordercast"],
        description="Where the embedded PostgreSQL, Valkey and sandbox keep their data.",
    )
    ORDERCAST_DEMO: bool = Field(
        False,
        examples=["true"],
        description="Demo secrets, demo data, plain HTTP. `manage.py up` sets it.",
    )
    ORDERCAST_DEBUG: bool = Field(False, examples=["false"], description="Django's debug pages.")
    ORDERCAST_SECRET_KEY: str = Field(
        "",
        examples=["$(openssl rand -base64 48)"],
        description="Signs sessions and order grants. At least 32 characters.",
    )
    ORDERCAST_SERVICE_TOKEN: str = Field(
        "",
        examples=["$(openssl rand -hex 32)"],
        description="What a service sends as `Authorization: Bearer …`. At least 16 characters.",
    )
    ORDERCAST_TOKEN_KEYS: Names = Field(
        [],
        examples=["$(openssl rand -hex 32)"],
        description="Secrets for tokens (HS256), comma-separated, at least 32 characters each. The first signs, all "
        "verify, so that one can be rotated. Empty: ORDERCAST_SECRET_KEY.",
    )
    ORDERCAST_TOKEN_JWKS: str = Field(
        "",
        examples=["https://login.example.com/.well-known/jwks.json", "/etc/ordercast/jwks.json"],
        description="Public keys of your identity provider (RS256, ES256, EdDSA), whose tokens are accepted too.",
    )
    ORDERCAST_TOKEN_ISSUER: str = Field(
        "",
        examples=["https://login.example.com/"],
        description="The `iss` that tokens signed by those keys must carry. Needed with ORDERCAST_TOKEN_JWKS.",
    )
    ORDERCAST_HOSTS: Names = Field(
        ["localhost", "127.0.0.1", "[::1]"],
        examples=["pay.example.com,pay2.example.com"],
        description="Host names that are answered, and origins of WebSockets.",
    )
    ORDERCAST_PUBLIC_URL: HttpUrl = Field(
        "http://127.0.0.1:8000",
        examples=["https://pay.example.com"],
        description="Where customers and providers reach the web processes.",
    )
    ORDERCAST_PROVIDERS: Names = Field(
        ["house"],
        min_length=1,
        examples=["house"],
        description="Payment providers in use; the first is the default.",
    )
    ORDERCAST_HOUSE_URL: HttpUrl = Field(
        "http://127.0.0.1:8100",
        examples=["https://payments.internal.example.com"],
        description="The house provider: your own payment system, or the sandbox.",
    )
    ORDERCAST_HOUSE_KEY: str = Field(
        "", examples=["sk_live_…"], description="The bearer key for the house provider's API."
    )
    ORDERCAST_HOUSE_WEBHOOK_SECRETS: Names = Field(
        [],
        examples=["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        description="Standard Webhooks secrets, comma-separated; several while one is being rotated.",
    )
    ORDERCAST_PROVIDER_TIMEOUT: float = Field(
        10.0,
        gt=0,
        le=60,
        examples=["10"],
        description="Seconds that one call to a provider may take.",
    )
    ORDERCAST_PROVIDER_RATE: int = Field(
        50,
        ge=1,
        le=10_000,
        examples=["50"],
        description="Questions a second that the reconciler may put to each provider account, over all workers.",
    )
    ORDERCAST_TICK_SECONDS: int = Field(
        15,
        ge=1,
        le=3600,
        examples=["15"],
        description="How often the reconciler looks for due payments; read when the schedule is first installed.",
    )
    ORDERCAST_CHECK_TIME_SCALE: float = Field(
        1.0,
        gt=0,
        le=10,
        examples=["1", "0.1"],
        description="Multiplies every delay of the check profiles: 0.1 makes a demo ten times quicker.",
    )
    ORDERCAST_ORDER_LIFETIME: int = Field(
        86_400, ge=60, examples=["86400"], description="Seconds until an unpaid order expires."
    )
    ORDERCAST_LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", examples=["INFO"], description="The least level that is logged."
    )

    @field_validator(
        "ORDERCAST_HOSTS",
        "ORDERCAST_PROVIDERS",
        "ORDERCAST_HOUSE_WEBHOOK_SECRETS",
        "ORDERCAST_TOKEN_KEYS",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            [v.strip() for v in value.split(",") if v.strip()] if isinstance(value, str) else value
        )


def read() -> Environment:
    """The checked environment. Raises `ImproperlyConfigured`."""
    try:
        environment = Environment()
    except ValidationError as wrong:
        bad = [
            _line(str(error["loc"][0]), _said(error), error["input"]) for error in wrong.errors()
        ]
        raise ImproperlyConfigured("\n".join(bad)) from None
    if environment.ORDERCAST_DEMO:
        _refuse(_token_problems(environment))
        return _with_demo_secrets(environment)
    _refuse(_token_problems(environment) + _production_problems(environment))
    return environment


def table() -> str:
    """Every variable as a Markdown table, for the documentation: `python -m backend.environment` prints it."""
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
    return re.sub(r"(^|://).*@", r"\1…@", str(value))


def _example(name: str) -> str:
    return str((Environment.model_fields[name].examples or [""])[0])


def _with_demo_secrets(environment: Environment) -> Environment:
    missing = {
        name: value for name, value in _DEMO_SECRETS.items() if not getattr(environment, name)
    }
    return environment.model_copy(update=missing)


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
        if any(len(secret) < least for secret in _words(getattr(environment, name)) or [""])
    ]
    bad += [
        _line(name, "must be your own, not the demo's, which everybody can read")
        for name in _SECRETS
        if set(_words(getattr(environment, name))) & set(_words(_DEMO_SECRETS[name]))
    ]
    if environment.ORDERCAST_DEBUG:
        bad.append(_line("ORDERCAST_DEBUG", "must be off outside the demo", value=True))
    if "*" in environment.ORDERCAST_HOSTS:
        bad.append(_line("ORDERCAST_HOSTS", "must name each host", "*"))
    return [*bad, "ORDERCAST_DEMO=true runs with the demo's secrets instead"] if bad else []


def _words(value: str | list[str]) -> list[str]:
    return [word for word in ([value] if isinstance(value, str) else value) if word]


if __name__ == "__main__":
    print(table())
