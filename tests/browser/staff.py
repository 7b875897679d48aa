"""Staff in the browser: a session of theirs, a Celery worker, and the demo's sandbox behind them."""

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import BrowserContext

from tests.realtime.serving import Server
from tests.sandbox import SandboxProcess
from tests.working import a_worker


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
    environment = {
        **child_environment,
        "ORDERCAST_HOUSE_URL": provider.url,
        "ORDERCAST_HOUSE_KEY": provider.key,
        "ORDERCAST_HOUSE_WEBHOOK_SECRETS": provider.secret,
    }
    with a_worker(environment, concurrency=4):
        yield
