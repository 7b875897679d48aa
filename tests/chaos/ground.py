"""What stands before anything is imported that reads settings: a sandbox, and the environment of this run."""

import os
from pathlib import Path

from backend.up import embedded
from tests.sandbox import SandboxProcess, start_sandbox

TOKEN = "demo-service-token"


def open_sandbox(data: Path) -> SandboxProcess:
    return start_sandbox(data=data / "sandbox.sqlite3", time_scale=0.1)


def prepare_environment(data: Path, sandbox: SandboxProcess, public_url: str) -> None:
    """For this process's own settings, and for all that it starts."""
    fast_accept = os.environ.get(
        "ORDERCAST_FAST_ACCEPT", "on"
    )  # which way pages come may be chosen
    for name in [name for name in os.environ if name.startswith("ORDERCAST_")]:
        del os.environ[name]
    much = "10000000/minute"
    os.environ |= {
        "ORDERCAST_FAST_ACCEPT": fast_accept,
        "DJANGO_SETTINGS_MODULE": "backend.settings",
        "PYTHONUNBUFFERED": "1",
        "ORDERCAST_DEMO": "true",
        "ORDERCAST_DATA": str(data),
        "ORDERCAST_LOG_LEVEL": "WARNING",
        "ORDERCAST_PUBLIC_URL": public_url,
        "ORDERCAST_HOUSE_URL": sandbox.url,
        "ORDERCAST_HOUSE_KEY": sandbox.key,
        "ORDERCAST_HOUSE_WEBHOOK_SECRETS": sandbox.secret,
        "ORDERCAST_SERVICE_TOKEN": TOKEN,
        "ORDERCAST_TICK_SECONDS": "1",
        "ORDERCAST_CHECK_TIME_SCALE": "0.05",
        "ORDERCAST_PROVIDER_TIMEOUT": "3",
        **{f"ORDERCAST_LIMIT_{what}": much for what in ("API", "ANONYMOUS", "HANDSHAKE")},
        "ORDERCAST_LIMIT_CALLBACK": much,
        "DATABASE_URL": embedded.database_url(data),
        "VALKEY_URL": embedded.valkey_url(data),
    }
