"""Valkeys for the subscriber. Everything in this folder runs on both event loops that uvicorn may use."""

import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest
import redis
import uvloop
from pytest_django import Settings

from backend.up import embedded
from tests.ports import free_port


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """For these tests alone, and each of pytest's workers its own: a channel is heard in every database of a Valkey.

    Gives its port.
    """
    port = free_port()
    server = embedded.start_valkey(tmp_path_factory.mktemp("v"), port=port)
    yield port
    server.stop()


@pytest.fixture
def port(shared_valkey: int) -> int:
    return shared_valkey


@pytest.fixture
def valkey(shared_valkey: int, settings: Settings) -> Iterator["redis.Redis"]:
    """Instead of the run's own."""
    settings.VALKEY_URL = f"redis://127.0.0.1:{shared_valkey}/0"
    with redis.Redis.from_url(settings.VALKEY_URL) as client:
        yield client
