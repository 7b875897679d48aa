"""People, and a way to the API for each."""

from tests.access.conftest import (  # noqa: F401 — fixtures
    _quick_passwords,
    bearer,
    logged_in,
    user,
)
