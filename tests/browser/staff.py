"""Staff in the browser: a session of theirs, a Celery worker, and the demo's sandbox behind them."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import BrowserContext

from backend.readiness import worker_answers
from tests.realtime.serving import ROOT, Server
from tests.sandbox import SandboxProcess
from tests.waiting import eventually


def log_in(context: BrowserContext, server: Server, user: User) -> None:
    """The context's pages are the user's from now on."""
    client = Client()
    client.force_login(user)
    cookie = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": cookie, "url": server.url}])


@pytest.fixture
def worker(
    child_environment: dict[str, str], provider: SandboxProcess, database: None, valkey: object
) -> Iterator[None]:
    """A real Celery worker that knows the sandbox."""
    command = [
        *(sys.executable, "-m", "celery", "-A", "backend", "worker", "--pool", "threads"),
        *("-Q", "ordercast", "--concurrency", "4", "--loglevel", "WARNING"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat"),
    ]
    environment = {
        **child_environment,
        "ORDERCAST_HOUSE_URL": provider.url,
        "ORDERCAST_HOUSE_KEY": provider.key,
        "ORDERCAST_HOUSE_WEBHOOK_SECRETS": provider.secret,
    }
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        eventually(worker_answers, 60, saying="the worker answered")
        yield
    finally:
        process.kill()
        process.wait()
