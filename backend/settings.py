"""Django's settings, all made from `environment.read()`."""

from limits import parse
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.connection import parse_url

from backend.config import provider_accounts, valkey
from backend.config.addresses import connection_parameters
from backend.config.environment import read
from backend.config.paths import BASE_DIR
from backend.observability import logging_config
from backend.up import embedded

ENV = read()

SECRET_KEY = ENV.ORDERCAST_SECRET_KEY
DEBUG = ENV.ORDERCAST_DEBUG
ALLOWED_HOSTS = ENV.ORDERCAST_HOSTS
CSRF_TRUSTED_ORIGINS = [ENV.ORDERCAST_PUBLIC_URL]
ROOT_URLCONF = "backend.urls"
ASGI_APPLICATION = "backend.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch"), ("zh-hans", "简体中文"), ("ru", "Русский")]
LOCALE_PATHS = [BASE_DIR / "locale"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "channels",
    "django_celery_beat",
    "django_fsm",
    "pgtrigger",
    "ninja",
    "orders",
    "realtime",
    "workers",
    "backend",
]

MIDDLEWARE = [
    "backend.http.api_errors.problems_for_programs",
    "django.middleware.security.SecurityMiddleware",
    "backend.http.static_files.StaticFiles",
    "backend.http.compression.CompressedPages",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "backend.http.locale.page_language",
    "backend.http.page_throttle.limit_pages",
    "django.middleware.common.CommonMiddleware",
    "backend.http.login_throttle.limit_logins",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "backend.http.unavailable.DatabaseUnavailable",
]
if ENV.ORDERCAST_DEMO:
    MIDDLEWARE.insert(0, "realtime.pages.live_demo.OrderPagesInFrames")

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "realtime.pages.views.shop",
            ]
        },
    }
]

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = (
    True  # served from where they lie: no collectstatic, no second copy to forget
)
LOGIN_URL = "admin:login"

# HTTPS wherever the public address says so. X-Forwarded-Proto is read by the server alone, and only of a proxy that is
# trusted (--forwarded-allow-ips): Django's SECURE_PROXY_SSL_HEADER would believe anybody's.
_HTTPS = ENV.ORDERCAST_PUBLIC_URL.startswith("https://")
SECURE_SSL_REDIRECT = _HTTPS
# Browsers keep it for a year, and their makers' lists for longer: how much of it is for whoever runs this to say.
_HSTS = ENV.ORDERCAST_HSTS if _HTTPS else ""
SECURE_HSTS_SECONDS = 31_536_000 if _HSTS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _HSTS in {"subdomains", "preload"}
SECURE_HSTS_PRELOAD = _HSTS == "preload"
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W005", "security.W021"]  # they want all of it
SESSION_COOKIE_SECURE = _HTTPS
CSRF_COOKIE_SECURE = _HTTPS
LANGUAGE_COOKIE_SECURE = _HTTPS
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_AGE = 31_536_000  # seconds: a year
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024  # bytes; gateway.py has tighter ones for each path
SECURE_REDIRECT_EXEMPT = [r"^health/"]


def _database(url: str) -> dict[str, object]:
    given = dict(connection_parameters(url))
    user = given.pop("user", "")
    # libpq's own names for the rest: what the address says of it counts more than what stands here.
    options: dict[str, object] = {
        "NAME": given.pop("dbname", user),
        "USER": user,
        "PASSWORD": given.pop("password", ""),
        "HOST": given.pop("host", ""),
        "PORT": str(given.pop("port", "")),
    }
    # A connection that opens but never answers must not hold a callback: TCP notices within seconds.
    libpq = {
        "connect_timeout": 3,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    } | given
    pooler = ENV.ORDERCAST_DATABASE_POOLER
    is_prepared = ENV.ORDERCAST_PREPARED_STATEMENTS and not pooler
    return options | {
        "ENGINE": "orders.database",
        # They belong to a session too, and nothing here reads so much at once.
        "DISABLE_SERVER_SIDE_CURSORS": True,
        "OPTIONS": libpq
        | {
            "pooler": pooler,
            "limits": {  # ms
                "lock_timeout": round(1000 * ENV.ORDERCAST_LOCK_TIMEOUT),
                "statement_timeout": round(1000 * ENV.ORDERCAST_STATEMENT_TIMEOUT),
                # Ours take no longer, so a process that has stopped in one is stuck, and holds its rows.
                "idle_in_transaction_session_timeout": 30_000,
            },
            # Only of what is bound by PostgreSQL, which the ORM's statements are not: at their first use, or never.
            "prepare_threshold": 0 if is_prepared else None,
            # Its pauses double up to reconnect_timeout; then the next who asks begins anew.
            "pool": {
                "min_size": 1,
                "max_size": 16,
                "timeout": 5,
                "max_idle": 120,
                "reconnect_timeout": 3,
            },
        },
    }


DATABASES = {"default": _database(ENV.DATABASE_URL or embedded.database_url(ENV.ORDERCAST_DATA))}

# Valkey is a hint: nothing may wait for it long. redis-py's own defaults retry for seconds.
VALKEY_URL = ENV.VALKEY_URL or embedded.valkey_url(ENV.ORDERCAST_DATA)
VALKEY_TIMEOUT = 0.5  # seconds, to connect and for each answer
# All keys and channels begin with it. Pub/sub knows no databases: what keeps the keys of two installations apart, their
# channels carry in their names.
_VALKEY_DATABASE = parse_url(VALKEY_URL).get("db", 0)  # type: ignore[no-untyped-call]
ORDERCAST_CHANNEL_PREFIX = ENV.ORDERCAST_CHANNEL_PREFIX or f"ordercast{_VALKEY_DATABASE or ''}"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {
            "hosts": [
                {
                    "address": VALKEY_URL,
                    "socket_connect_timeout": VALKEY_TIMEOUT,
                    "socket_timeout": VALKEY_TIMEOUT,
                    "retry": AsyncRetry(NoBackoff(), 1),
                }
            ],
            "prefix": ORDERCAST_CHANNEL_PREFIX,
        },
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": VALKEY_URL,
        "KEY_PREFIX": ORDERCAST_CHANNEL_PREFIX,
        "OPTIONS": {
            "socket_connect_timeout": VALKEY_TIMEOUT,
            "socket_timeout": VALKEY_TIMEOUT,
            "serializer": "backend.config.valkey.JsonSerializer",
        },
    }
}

CELERY_BROKER_URL, CELERY_BROKER_USE_SSL = valkey.broker(VALKEY_URL)
CELERY_ACCEPT_CONTENT = ["json"]  # what somebody has written there must not be able to run
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_connect_timeout": VALKEY_TIMEOUT,
    "socket_timeout": VALKEY_TIMEOUT,
    # A worker whose connection has gone silent notices within 1 + 2 × this; kombu's own 25 would make it 51 seconds.
    "health_check_interval": 3,
    "global_keyprefix": f"{ORDERCAST_CHANNEL_PREFIX}.",
    "max_retries": 0,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
# READONLY, OOM, MISCONF and the like are errors of a channel to kombu: without this the worker ends.
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_WORKER_CONSUMER = "workers.celery_internals:Consumer"
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = (
    True  # for late acknowledgement, of which we have none
)
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_TASK_DEFAULT_QUEUE = "ordercast"
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BEAT_SCHEDULER = "workers.scheduler:Scheduler"
CELERY_TIMEZONE = "UTC"

LOGGING = logging_config.configuration(
    ENV.ORDERCAST_LOG_LEVEL,
    ENV.ORDERCAST_LOG_FORMAT or ("text" if ENV.ORDERCAST_DEMO else "json"),
)

ORDERCAST_DEMO = ENV.ORDERCAST_DEMO
ORDERCAST_PUBLIC_URL = ENV.ORDERCAST_PUBLIC_URL
ORDERCAST_LOCK_TIMEOUT = ENV.ORDERCAST_LOCK_TIMEOUT
ORDERCAST_ORIGINS = ENV.ORDERCAST_ORIGINS
ORDERCAST_SHOP_NAME = ENV.ORDERCAST_SHOP_NAME
ORDERCAST_SERVICE_TOKEN = ENV.ORDERCAST_SERVICE_TOKEN
ORDERCAST_TOKEN_KEYS = ENV.ORDERCAST_TOKEN_KEYS
ORDERCAST_TOKEN_JWKS = ENV.ORDERCAST_TOKEN_JWKS
ORDERCAST_TOKEN_ISSUER = ENV.ORDERCAST_TOKEN_ISSUER
ORDERCAST_TOKEN_AUDIENCE = ENV.ORDERCAST_TOKEN_AUDIENCE
ORDERCAST_TOKEN_USER_CLAIM = ENV.ORDERCAST_TOKEN_USER_CLAIM
ORDERCAST_TOKEN_STAFF = ENV.ORDERCAST_TOKEN_STAFF
ORDERCAST_TOKEN_LIFETIME = ENV.ORDERCAST_TOKEN_LIFETIME


def _times(factor: int, rate: str) -> str:
    item = parse(rate)
    return f"{factor * item.amount}/{item.multiples} {item.GRANULARITY.name}"


ORDERCAST_TRUST_REQUEST_ID = ENV.ORDERCAST_TRUST_REQUEST_ID
ORDERCAST_FAST_ACCEPT = ENV.ORDERCAST_FAST_ACCEPT
ORDERCAST_ASGI_MIDDLEWARE = ENV.ORDERCAST_ASGI_MIDDLEWARE
ORDERCAST_CALLBACK_NETWORKS = ENV.ORDERCAST_CALLBACK_NETWORKS
ORDERCAST_LIMITS = {
    name: _times(1000 if ENV.ORDERCAST_DEMO else 1, rate)  # all of the demo comes from one address
    for name, rate in {
        "api": ENV.ORDERCAST_LIMIT_API,
        "anonymous": ENV.ORDERCAST_LIMIT_ANONYMOUS,
        "handshake": ENV.ORDERCAST_LIMIT_HANDSHAKE,
        "callback": ENV.ORDERCAST_LIMIT_CALLBACK,
        "login": ENV.ORDERCAST_LIMIT_LOGIN,
        "account": ENV.ORDERCAST_LIMIT_ACCOUNT,
        "page": ENV.ORDERCAST_LIMIT_PAGE,
    }.items()
}
_ORDERS = parse(ENV.ORDERCAST_LIMIT_ORDERS)
ORDERCAST_REALTIME = {
    "orders": _ORDERS.amount / _ORDERS.get_expiry(),
    "per_grant": ENV.ORDERCAST_CONNECTIONS_PER_GRANT,
    "per_user": ENV.ORDERCAST_CONNECTIONS_PER_USER,
    "per_address": ENV.ORDERCAST_CONNECTIONS_PER_ADDRESS,
}
ORDERCAST_ORDER_LIFETIME = ENV.ORDERCAST_ORDER_LIFETIME
ORDERCAST_OUTGOING_CA = ENV.ORDERCAST_OUTGOING_CA
ORDERCAST_OUTGOING_PROXY = ENV.ORDERCAST_OUTGOING_PROXY
ORDERCAST_OUTGOING_DIRECT = ENV.ORDERCAST_OUTGOING_DIRECT
ORDERCAST_PROVIDER_RATE = ENV.ORDERCAST_PROVIDER_RATE
ORDERCAST_TICK_SECONDS = ENV.ORDERCAST_TICK_SECONDS
ORDERCAST_REFRESH_COOLDOWN = ENV.ORDERCAST_REFRESH_COOLDOWN
ORDERCAST_CHECK_TIME_SCALE = ENV.ORDERCAST_CHECK_TIME_SCALE
_ACCOUNTS = {
    "house": {
        "url": ENV.ORDERCAST_HOUSE_URL,
        "key": ENV.ORDERCAST_HOUSE_KEY,
        "webhook_secrets": ENV.ORDERCAST_HOUSE_WEBHOOK_SECRETS,
        "timeout": ENV.ORDERCAST_PROVIDER_TIMEOUT,
    },
    "stripe": {
        "url": ENV.ORDERCAST_STRIPE_URL,
        "key": ENV.ORDERCAST_STRIPE_KEY,
        "webhook_secrets": ENV.ORDERCAST_STRIPE_WEBHOOK_SECRETS,
        "timeout": ENV.ORDERCAST_PROVIDER_TIMEOUT,
    },
}
ORDERCAST_PROVIDERS = {
    name: _ACCOUNTS.get(name) or provider_accounts.account(name, ENV.ORDERCAST_PROVIDER_TIMEOUT)
    for name in ENV.ORDERCAST_PROVIDERS
}
ORDERCAST_DEFAULT_PROVIDER = ENV.ORDERCAST_PROVIDERS[0]
