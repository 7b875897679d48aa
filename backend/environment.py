"""What the environment may say, read once and checked. Each variable is described here and nowhere else.

Raises `ImproperlyConfigured` with one line for each bad variable: its name, what it holds, and a good example.
"""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured
from pydantic import AfterValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

BASE_DIR = Path(__file__).resolve().parent.parent
DEMO_SECRET = "demo-only-secret-never-use-it-where-real-money-moves"  # noqa: S105 — refused outside the demo
DEMO_TOKEN = "demo-service-token"  # noqa: S105 — the same
DEMO_WEBHOOK_SECRET = "whsec_ZGVtby1vbmx5LXdlYmhvb2stc2VjcmV0LW5ldmVyLWZvci1yZWFs"  # noqa: S105 — the same


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
    ORDERCAST_DATA: Path = Field(
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
        examples=["the output of: openssl rand -base64 48"],
        description="Signs sessions and order grants. At least 32 characters.",
    )
    ORDERCAST_SERVICE_TOKEN: str = Field(
        "",
        examples=["the output of: openssl rand -hex 32"],
        description="What a service sends as `Authorization: Bearer …`. At least 16 characters.",
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
        "ORDERCAST_HOSTS", "ORDERCAST_PROVIDERS", "ORDERCAST_HOUSE_WEBHOOK_SECRETS", mode="before"
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
        raise ImproperlyConfigured("\n".join(_line(error) for error in wrong.errors())) from None
    return _demo(environment) if environment.ORDERCAST_DEMO else _production(environment)


def _line(error: Any) -> str:
    name = str(error["loc"][0])
    message = error["msg"].removeprefix("Value error, ")
    example = (Environment.model_fields[name].examples or [""])[0]
    return f"{name}: {message} (it is {error['input']!r}); for example {name}={example}"


def _demo(environment: Environment) -> Environment:
    defaults = {
        "ORDERCAST_SECRET_KEY": DEMO_SECRET,
        "ORDERCAST_SERVICE_TOKEN": DEMO_TOKEN,
        "ORDERCAST_HOUSE_KEY": "demo-house-key",
        "ORDERCAST_HOUSE_WEBHOOK_SECRETS": [DEMO_WEBHOOK_SECRET],
    }
    missing = {name: value for name, value in defaults.items() if not getattr(environment, name)}
    return environment.model_copy(update=missing)


def _production(environment: Environment) -> Environment:
    least = {
        "ORDERCAST_SECRET_KEY": 32,
        "ORDERCAST_SERVICE_TOKEN": 16,
        "ORDERCAST_HOUSE_KEY": 8,
        "ORDERCAST_HOUSE_WEBHOOK_SECRETS": 1,
    }
    bad = [
        {
            "loc": [name],
            "msg": f"must be set, with at least {length} characters",
            "input": "too short",
        }
        for name, length in least.items()
        if len(getattr(environment, name)) < length
    ]
    if DEMO_SECRET == environment.ORDERCAST_SECRET_KEY:
        bad.append(
            {"loc": ["ORDERCAST_SECRET_KEY"], "msg": "must be your own", "input": "the demo's"}
        )
    if DEMO_TOKEN == environment.ORDERCAST_SERVICE_TOKEN:
        bad.append(
            {"loc": ["ORDERCAST_SERVICE_TOKEN"], "msg": "must be your own", "input": "the demo's"}
        )
    if environment.ORDERCAST_DEBUG:
        bad.append(
            {"loc": ["ORDERCAST_DEBUG"], "msg": "must be off outside the demo", "input": True}
        )
    if "*" in environment.ORDERCAST_HOSTS:
        bad.append({"loc": ["ORDERCAST_HOSTS"], "msg": "must name the hosts", "input": "*"})
    if bad:
        hint = "\n(ORDERCAST_DEMO=true runs with demo secrets instead)"
        raise ImproperlyConfigured("\n".join(_line(error) for error in bad) + hint)
    return environment
