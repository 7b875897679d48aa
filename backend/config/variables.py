"""What the environment may say. Each variable is described here and nowhere else."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from limits import parse
from pydantic import AfterValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from backend.config import addresses
from backend.config.paths import BASE_DIR
from orders.payments.registry import FACTORIES

ACCOUNTS = ("house", "stripe")  # with variables described below, needed only where they are in use

# Also of apps that show pages of their own: capacitor://localhost, ionic://localhost, tauri://localhost.
_ORIGIN = re.compile(
    r"\A(?!(about|blob|data|file|javascript|wss?):)"
    r"[A-Za-z][A-Za-z0-9+.-]*://([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(:[0-9]+)?"
)


HttpUrl = Annotated[str, AfterValidator(addresses.http_url)]


def _rate(value: str) -> str:
    try:
        parse(value)
    except ValueError:
        raise ValueError("must be a number for each second, minute, hour or day") from None
    return value


def _networks(value: list[str]) -> list[str]:
    for each in value:
        ip_network(each)
    return value


def _origins(value: list[str]) -> list[str]:
    for each in value:
        if each != "*" and not _ORIGIN.fullmatch(each):
            raise ValueError(
                "must be origins: https:// (or an app's own scheme), a name, and a port if it has one; no path"
            )
    return [each.lower() for each in value]


Names = Annotated[list[str], NoDecode]
Rate = Annotated[str, AfterValidator(_rate)]


class Environment(BaseSettings):
    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    DATABASE_URL: Annotated[str, AfterValidator(addresses.database_url)] = Field(
        "",
        examples=["postgresql://ordercast:secret@db:5432/ordercast"],
        description="PostgreSQL 15 or later, as libpq has it: several hosts (`db1:5432,db2:5432`) are tried until one "
        "takes writes. Empty: the embedded one in ORDERCAST_DATA.",
    )
    ORDERCAST_DATABASE_POOLER: Literal["transaction", ""] = Field(
        "",
        examples=["transaction"],
        description="`transaction` behind PgBouncer: nothing is then kept in a session of PostgreSQL. "
        "Empty: no pooler.",
    )
    ORDERCAST_LOCK_TIMEOUT: float = Field(
        2.0,
        gt=0,
        le=60,
        examples=["2"],
        description="Seconds that a statement waits for a row which somebody has locked; then 503.",
    )
    ORDERCAST_STATEMENT_TIMEOUT: float = Field(
        15.0,
        gt=0,
        le=3600,
        examples=["15"],
        description="Seconds that PostgreSQL works on one statement; then 503. Not of migrations and `verify_orders`.",
    )
    ORDERCAST_PREPARED_STATEMENTS: bool = Field(
        True,
        examples=["false"],
        description="Let PostgreSQL plan a callback's statements once for each connection. Off behind a pooler that "
        "gives each transaction another connection and knows no prepared statements (PgBouncer before 1.21); "
        "always off with ORDERCAST_DATABASE_POOLER.",
    )
    VALKEY_URL: Annotated[str, AfterValidator(addresses.valkey_url)] = Field(
        "",
        examples=["redis://valkey:6379/0"],
        description="Valkey or Redis: broker, channel layer, cache. `rediss://` verifies the certificate, against the "
        "system's authorities or the file of `?ssl_ca_certs=`. Empty: the embedded one.",
    )
    ORDERCAST_DATABASE_URL: Annotated[str, AfterValidator(addresses.database_url)] = Field(
        "",
        examples=["postgresql://ordercast:secret@db:5432/ordercast"],
        description="Takes precedence over DATABASE_URL, which other projects read too; the demo of `manage.py up` "
        "reads this one alone.",
    )
    ORDERCAST_VALKEY_URL: Annotated[str, AfterValidator(addresses.valkey_url)] = Field(
        "",
        examples=["redis://valkey:6379/0"],
        description="Takes precedence over VALKEY_URL, likewise.",
    )
    ORDERCAST_CHANNEL_PREFIX: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = Field(
        "",
        examples=["ordercast-staging"],
        description="Prefix of all keys and pub/sub channels in Valkey: each installation on one Valkey needs "
        "its own, since channels have no database numbers. Empty: `ordercast` and the number of VALKEY_URL's "
        "database, if it is not 0.",
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
    ORDERCAST_DEMO_PASSWORD: str = Field(
        "demo",
        min_length=4,
        examples=["$(openssl rand -hex 8)"],
        description="The password of the demo's user `demo`.",
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
    ORDERCAST_TOKEN_AUDIENCE: Annotated[str, Field(min_length=1)] = Field(
        "ordercast",
        examples=["https://pay.example.com"],
        description="The `aud` that they must carry.",
    )
    ORDERCAST_TOKEN_USER_CLAIM: str = Field(
        "",
        examples=["ordercast_user_id"],
        description="The claim of theirs that holds the id of a user of Ordercast. Empty: they name nobody, and none "
        "is accepted.",
    )
    ORDERCAST_TOKEN_STAFF: bool = Field(
        False,
        examples=["true"],
        description="Accept them for staff and superusers too, with all that those may do.",
    )
    ORDERCAST_TOKEN_LIFETIME: int = Field(
        86_400,
        ge=60,
        le=2_592_000,
        examples=["3600"],
        description="Seconds after their `iat` for which they are accepted at most, whatever their `exp`.",
    )
    ORDERCAST_HOSTS: Names = Field(
        ["localhost", "127.0.0.1", "[::1]"],
        examples=["pay.example.com,pay2.example.com"],
        description="Host names that are served.",
    )
    ORDERCAST_ORIGINS: Annotated[Names, AfterValidator(_origins)] = Field(
        [],
        examples=["https://shop.example.com,https://www.example.com"],
        description="Other sites whose pages may show orders, by grant or token and never by cookie; `*` for any.",
    )
    ORDERCAST_PUBLIC_URL: Annotated[str, AfterValidator(addresses.site)] = Field(
        "http://127.0.0.1:8000",
        examples=["https://pay.example.com"],
        description="Where customers and providers reach the web processes: a name of their own, without a path. Only "
        "pages from there may use sessions.",
    )
    ORDERCAST_HSTS: Literal["", "host", "subdomains", "preload"] = Field(
        "host",
        examples=["subdomains"],
        description="With an https:// public URL, browsers are told for a year never to ask by HTTP: the `host` alone, "
        "its `subdomains` too, or to be kept in the lists that browsers come with (`preload`), which cannot be taken "
        "back. Empty: nothing is said.",
    )
    ORDERCAST_SHOP_NAME: Annotated[str, Field(max_length=60)] = Field(
        "Ordercast",
        examples=["Kaffeehaus"],
        description="What customers read at the top of their pages and on their receipts.",
    )
    ORDERCAST_PROVIDERS: Names = Field(
        ["house"],
        min_length=1,
        examples=["house", "stripe,house"],
        description="Payment providers in use, of those in `orders/payments/registry.py`; the first is the default.",
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
    ORDERCAST_STRIPE_URL: HttpUrl = Field(
        "https://api.stripe.com",
        examples=["https://api.stripe.com"],
        description="Stripe's API. In the demo without a key: the sandbox, which speaks it too.",
    )
    ORDERCAST_STRIPE_KEY: str = Field(
        "", examples=["sk_test_…"], description="The secret or restricted key for Stripe's API."
    )
    ORDERCAST_STRIPE_WEBHOOK_SECRETS: Names = Field(
        [],
        examples=["whsec_a1b2c3d4e5f6a1b2c3d4e5f6"],
        description="Signing secrets of Stripe's webhook endpoint, comma-separated.",
    )
    ORDERCAST_PROVIDER_TIMEOUT: float = Field(
        10.0,
        gt=0,
        le=60,
        examples=["10"],
        description="Seconds that one call to a provider may take.",
    )
    ORDERCAST_OUTGOING_CA: str = Field(
        "",
        examples=["/etc/ssl/company-ca.pem"],
        description="A file of certificates (PEM) that calls to providers and to ORDERCAST_TOKEN_JWKS trust beside the "
        "public authorities. SSL_CERT_FILE counts for nothing.",
    )
    ORDERCAST_OUTGOING_PROXY: HttpUrl = Field(
        "",
        examples=["http://proxy.example.com:3128"],
        description="The proxy that those calls go through; name and password may stand in the address. HTTPS_PROXY "
        "counts for nothing.",
    )
    ORDERCAST_OUTGOING_DIRECT: Names = Field(
        ["localhost", "127.0.0.1", "::1"],
        examples=["127.0.0.1,payments.internal,.corp.example.com"],
        description="Hosts that are called without the proxy; one with a leading dot means all below it.",
    )
    ORDERCAST_PROVIDER_RATE: int = Field(
        50,
        ge=1,
        le=10_000,
        examples=["50"],
        description="Requests a second that the reconciler may send to each provider account, over all workers.",
    )
    ORDERCAST_TICK_SECONDS: int = Field(
        15,
        ge=1,
        le=3600,
        examples=["15"],
        description="Seconds between two runs of the reconciler; read when the schedule is first installed.",
    )
    ORDERCAST_REFRESH_COOLDOWN: int = Field(
        10,
        ge=0,
        le=3600,
        examples=["10"],
        description="Seconds after a forced refresh in which staff cannot force another of the same order.",
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
    ORDERCAST_LIMIT_API: Rate = Field(
        "1200/minute",
        examples=["1200/minute"],
        description="API requests that each token or user may make.",
    )
    ORDERCAST_LIMIT_ANONYMOUS: Rate = Field(
        "120/minute",
        examples=["120/minute"],
        description="API requests from each address without credentials, or with bad ones.",
    )
    ORDERCAST_LIMIT_HANDSHAKE: Rate = Field(
        "600/minute",
        examples=["600/minute"],
        description="WebSockets and event streams that each address may open.",
    )
    ORDERCAST_LIMIT_ORDERS: Rate = Field(
        "60000/minute",
        examples=["60000/minute"],
        description="Orders that each grant or user may ask for over its sockets to one process; an address ten times.",
    )
    ORDERCAST_CONNECTIONS_PER_GRANT: Annotated[int, Field(ge=1)] = Field(
        50, examples=["50"], description="Sockets and event streams of one grant to one process."
    )
    ORDERCAST_CONNECTIONS_PER_USER: Annotated[int, Field(ge=1)] = Field(
        500, examples=["500"], description="The same of one user."
    )
    ORDERCAST_CONNECTIONS_PER_ADDRESS: Annotated[int, Field(ge=1)] = Field(
        500,
        examples=["500"],
        description="The same of one address. Services' tokens are not counted.",
    )
    ORDERCAST_LIMIT_CALLBACK: Rate = Field(
        "6000/minute",
        examples=["6000/minute"],
        description="Callbacks for each provider from each address; the provider is asked to retry.",
    )
    ORDERCAST_LIMIT_LOGIN: Rate = Field(
        "20/minute", examples=["20/minute"], description="Log-in attempts from each address."
    )
    ORDERCAST_LIMIT_ACCOUNT: Rate = Field(
        "20/10 minutes",
        examples=["20/10 minutes"],
        description="Log-in attempts to each account, from all addresses; a browser that has logged in to it before "
        "has as many more.",
    )
    ORDERCAST_LIMIT_PAGE: Rate = Field(
        "600/minute", examples=["600/minute"], description="Pages for each address."
    )
    ORDERCAST_CALLBACK_NETWORKS: Annotated[Names, AfterValidator(_networks)] = Field(
        [],
        examples=["203.0.113.0/24,2001:db8::/32"],
        description="Networks that callbacks are accepted from. Empty: any, since the signature is what counts.",
    )
    ORDERCAST_TRUST_REQUEST_ID: bool = Field(
        False,
        examples=["true"],
        description="Accept a request's id from `X-Request-ID`. Only behind a proxy that sets it, whatever clients "
        "send.",
    )
    ORDERCAST_FAST_ACCEPT: bool = Field(
        True,
        examples=["off"],
        description="Accept usual WebSockets without ASGI. Off: by plain ASGI, as with untested versions of uvicorn.",
    )
    ORDERCAST_ASGI_MIDDLEWARE: Names = Field(
        [],
        examples=["opentelemetry.instrumentation.asgi.OpenTelemetryMiddleware"],
        description="ASGI middleware around the whole application, by dotted paths; the first is outermost. WebSockets "
        "then go by plain ASGI, so that it sees them.",
    )
    ORDERCAST_LOG_FORMAT: Literal["json", "text", ""] = Field(
        "", examples=["json"], description="Empty: text in the demo, else json."
    )
    ORDERCAST_LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", examples=["INFO"], description="The lowest level that is logged."
    )

    @field_validator(
        "ORDERCAST_HOSTS",
        "ORDERCAST_ORIGINS",
        "ORDERCAST_PROVIDERS",
        "ORDERCAST_HOUSE_WEBHOOK_SECRETS",
        "ORDERCAST_STRIPE_WEBHOOK_SECRETS",
        "ORDERCAST_TOKEN_KEYS",
        "ORDERCAST_CALLBACK_NETWORKS",
        "ORDERCAST_ASGI_MIDDLEWARE",
        "ORDERCAST_OUTGOING_DIRECT",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            [v.strip() for v in value.split(",") if v.strip()] if isinstance(value, str) else value
        )

    @field_validator("ORDERCAST_PROVIDERS")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        if unknown := set(value) - FACTORIES.keys():
            known = ", ".join(FACTORIES)
            raise ValueError(f"must be of {known}, not {', '.join(sorted(unknown))}")
        return value
