"""Valkeys for the subscriber. Everything in this folder runs on both event loops that uvicorn may use."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import redis
import uvloop

from backend import embedded
from backend.servers import Server
from tests.plugin import free_port


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
def port(valkey: "redis.Redis") -> int:
    """Where the run's own Valkey listens on TCP."""
    return int(valkey.config_get("port")["port"] or 0)


@pytest.fixture
def own_port() -> int:
    return free_port()


@pytest.fixture
def own_valkey(tmp_path: Path, own_port: int) -> Iterator[Server]:
    """A Valkey that a test may mistreat."""
    server = embedded.start_valkey(tmp_path, port=own_port)
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.stop()
