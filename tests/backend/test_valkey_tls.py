"""All who use Valkey's address verify the server alike: a stranger's certificate is refused by every one of them."""

import asyncio
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.config import valkey as addresses
from backend.up import command_line
from tests.realtime.pubsub.subscriber.certificates import for_localhost
from tests.realtime.pubsub.subscriber.relay import relay
from tests.waiting import eventually

# What each of them does with Valkey, in a process whose settings have the address. Prints one word each.
USERS = """
import asyncio, django
django.setup()
from django.conf import settings
from django.core.cache import cache
from channels.layers import get_channel_layer
from backend.celery import app
from backend.http import health
from orders.security import rate_limits
from realtime.pubsub.subscriber import Subscriber
from workers import guard

async def layer():
    await get_channel_layer().send("somebody", {"type": "x"})

async def subscriber():
    [host] = settings.CHANNEL_LAYERS["default"]["CONFIG"]["hosts"]
    await Subscriber(host, on_message=lambda *_: None, on_joined=lambda *_, **__: None)._connect()

def celery():
    with app.connection_for_write() as connection:
        connection.connect()

def healthy():
    assert health._valkey() == "ok", health._valkey()

users = {
    "celery": celery,
    "layer": lambda: asyncio.run(layer()),
    "subscriber": lambda: asyncio.run(subscriber()),
    "cache": lambda: cache.set("x", 1),
    "limits": lambda: rate_limits._shared_at(settings.VALKEY_URL).storage.get("x"),
    "guard": lambda: guard._valkey().ping(),
    "health": healthy,
}
for name, use in users.items():
    try:
        use()
    except Exception as error:
        print(name, "certificate" if "certificate" in str(error).lower() else repr(error))
    else:
        print(name, "connected")
"""
NAMES = ("celery", "layer", "subscriber", "cache", "limits", "guard", "health")


@dataclass(frozen=True)
class Tls:
    port: int
    authority: Path


@pytest.fixture
def tls(valkey_port: int, tmp_path: Path) -> Iterator[Tls]:
    """Valkey behind a certificate for localhost, which no authority of this machine has signed."""
    authority, context = for_localhost(tmp_path)
    with _serving(valkey_port, context) as port:
        yield Tls(port, authority)


@pytest.fixture
def valkey_port() -> int:

    return int(os.environ["ORDERCAST_TEST_VALKEY_PORT"])


@contextmanager
def _serving(target: int, context: ssl.SSLContext) -> Iterator[int]:
    """The relay, on an event loop in a thread of its own."""
    loop, is_over, ports = asyncio.new_event_loop(), asyncio.Event(), list[int]()

    async def serve() -> None:
        async with relay(target, tls=context) as made:
            ports.append(made.port)
            await is_over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    eventually(lambda: ports)
    yield ports[0]
    loop.call_soon_threadsafe(is_over.set)
    thread.join()
    loop.close()


def found(environment: dict[str, str], url: str) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", USERS],
        env={
            **environment,
            "DJANGO_SETTINGS_MODULE": "backend.settings",
            "VALKEY_URL": url,
            "ORDERCAST_VALKEY_URL": url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_a_strangers_certificate_is_refused_by_all(
    child_environment: dict[str, str], tls: Tls
) -> None:
    url = f"rediss://localhost:{tls.port}/0"

    assert found(child_environment, url) == dict.fromkeys(NAMES, "certificate")


def test_a_certificate_for_another_host_is_refused_by_all(
    child_environment: dict[str, str], tls: Tls
) -> None:
    url = f"rediss://127.0.0.1:{tls.port}/0?ssl_ca_certs={tls.authority}"

    assert found(child_environment, url) == dict.fromkeys(NAMES, "certificate")


def test_the_authority_that_the_address_names_is_believed_by_all(
    child_environment: dict[str, str], tls: Tls
) -> None:
    url = f"rediss://localhost:{tls.port}/0?ssl_ca_certs={tls.authority}"

    assert found(child_environment, url) == dict.fromkeys(NAMES, "connected")


@pytest.mark.stack
def test_a_worker_does_not_connect_to_a_stranger(
    child_environment: dict[str, str], tls: Tls, tmp_path: Path
) -> None:
    url, log = f"rediss://localhost:{tls.port}/0", tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, *command_line.WORKER, "--loglevel", "info"],
            env={**child_environment, "VALKEY_URL": url, "ORDERCAST_VALKEY_URL": url},
            stdout=output,
            stderr=output,
        )
    try:
        eventually(lambda: "certificate verify failed" in log.read_text(), 40)
        assert "Connected to" not in log.read_text()
    finally:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://:secret@valkey:6379/2", ("redis://:secret@valkey:6379/2", None)),
        ("unix:///run/valkey.sock", ("redis+socket:///run/valkey.sock", None)),
        ("unix:///run/valkey.sock?db=3", ("redis+socket:///run/valkey.sock?virtual_host=3", None)),
        (
            "rediss://u:p%2F@valkey:6380/2?ssl_ca_certs=/ca.pem",
            (
                "rediss://u:p%2F@valkey:6380/2",
                {
                    "ssl_cert_reqs": "required",
                    "ssl_check_hostname": True,
                    "ssl_ca_certs": "/ca.pem",
                },
            ),
        ),
    ],
)
def test_celery_gets_the_address_as_it_spells_it(url: str, broker: object) -> None:
    assert addresses.broker(url) == broker
