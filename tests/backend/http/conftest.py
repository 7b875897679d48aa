"""Web processes for the tests of what stands before Django."""

from tests.realtime.conftest import start_server  # noqa: F401 — a fixture
