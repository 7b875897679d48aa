"""The accounts of payment providers whose variables this project does not list: each class says itself what it takes.

`ORDERCAST_<NAME>_<ARGUMENT>` is the argument `argument` of the class that stands under `name` in the registry. So it is
one file and one line; settings and variables need not know it.
"""

import os
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from orders.payments import registry


def account(name: str, timeout: float, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What the environment says for the provider. What ends in `SECRETS` or `KEYS` is a list, separated by commas."""
    prefix = _prefix(name)
    said = {
        variable.removeprefix(prefix).lower(): value
        for variable, value in (os.environ if environ is None else environ).items()
        if variable.startswith(prefix) and value
    }
    lists = {
        word: [part.strip() for part in value.split(",") if part.strip()]
        for word, value in said.items()
        if word.endswith(("secrets", "keys"))
    }
    return {"timeout": timeout, **said, **lists}


def warm() -> None:
    """Make every provider that is in use before the first customer comes: an SDK takes a second and more to import.

    Raises `ImproperlyConfigured`, naming the provider and what its variables begin with.
    """
    for name in registry.names():
        try:
            registry.get(name)
        except (TypeError, ValueError) as wrong:
            raise ImproperlyConfigured(
                f"The payment provider {name!r} cannot be made: {wrong}. "
                f"Its variables begin with {_prefix(name)}, for example {_prefix(name)}KEY=…"
            ) from wrong


def _prefix(name: str) -> str:
    return f"ORDERCAST_{name.upper()}_"
