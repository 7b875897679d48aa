"""Web processes for the tests of the server's protocols."""

from tests.realtime.conftest import (  # noqa: F401 — fixtures
    accept_by_asgi,
    either_way,
    order,
    own_port,
    own_valkey,
    start_process,
    start_server,
)
