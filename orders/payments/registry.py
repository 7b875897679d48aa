"""Which providers there are, and the one instance of each that this process uses."""

import os
from functools import lru_cache
from threading import Lock
from typing import Any, cast

from django.conf import settings
from django.utils.module_loading import import_string

from orders.payments.base import Provider

# A provider is one file and one line here. By path, so that its SDK is imported only where it is configured.
FACTORIES = {
    "house": "orders.payments.house.House",
    "stripe": "orders.payments.stripe.Stripe",
}

_lock = Lock()


class UnknownProvider(KeyError):
    """No provider of that name is configured. The message names those that are."""

    def __init__(self, name: str, known: list[str]) -> None:
        super().__init__(name)
        self.name, self.known = name, known

    def __str__(self) -> str:
        return f"There is no payment provider {self.name!r}; configured: {', '.join(self.known) or 'none'}."


def names() -> list[str]:
    """The providers that are configured and known to this code, in the settings' order."""
    return [name for name in settings.ORDERCAST_PROVIDERS if name in FACTORIES]


def get(name: str) -> Provider:
    """The provider of that name: one instance for each process and configuration, safe from any thread.

    Raises `UnknownProvider`, and `ValueError` if its configuration makes no sense.
    """
    if name not in names():
        raise UnknownProvider(name, names())
    # Two first calls at once must not make two; the pid, because connections do not survive a fork.
    with _lock:
        return _build(name, _Configuration(settings.ORDERCAST_PROVIDERS[name]), os.getpid())


def cache_clear() -> None:
    """Forget all instances; for tests and for changed settings."""
    _build.cache_clear()


class _Configuration(dict[str, Any]):
    """A settings dict that can be a cache key: equal content, same instance."""

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(repr(sorted(self.items())))


@lru_cache(maxsize=32)
def _build(name: str, configuration: _Configuration, _pid: int) -> Provider:
    return cast("Provider", import_string(FACTORIES[name])(**configuration))
