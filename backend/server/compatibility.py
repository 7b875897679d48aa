"""Which uvicorn and websockets the code of this package was tested with, and when sockets go the plain ASGI way.

The fast way (`fast_accept`) knows the insides of both and passes the application's own middleware by. So it is taken
only with versions that were tested, where nothing stands before the application, and unless it is switched off.
"""

import logging
import re
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from django.conf import settings

from realtime.hub import raw_send

logger = logging.getLogger(__name__)

# From the first to before the second, as pyproject.toml has it. The suites of sockets ran with both ends.
TESTED = {"uvicorn": ("0.53", "0.55"), "websockets": ("16.1", "18"), "httptools": ("0.7.1", "0.10")}


@lru_cache
def untested(installed: Callable[[str], str] = version) -> str:
    """The packages whose insides nobody has tried; "" where all are in range."""
    found = {name: installed(name) for name in TESTED}
    return ", ".join(
        f"{name} {found[name]} (tested: {first} to before {end})"
        for name, (first, end) in TESTED.items()
        if not _parts(first) <= _parts(found[name]) < _parts(end)
    )


def why_plain() -> str:
    """Why sockets go the plain way; "" if they need not."""
    if not settings.ORDERCAST_FAST_ACCEPT:
        return "ORDERCAST_FAST_ACCEPT is off"
    if settings.ORDERCAST_ASGI_MIDDLEWARE:
        return "ORDERCAST_ASGI_MIDDLEWARE is set"
    if versions := untested():
        return f"untested versions: {versions}"
    return ""


def prepare() -> None:
    """Once at the start of a web process."""
    if untested():
        raw_send.knows_server = False
    if reason := why_plain():
        # Chosen or not, a socket costs three times as much this way.
        logger.warning("WebSockets are accepted by plain ASGI, not the fast way: %s", reason)


def fast_accept_of(application: Any) -> Any:
    """The application's own `fast_accept`, if handshakes may go there; else None."""
    if why_plain():
        return None
    found = vars(type(application)).get("fast_accept")
    if found is None:
        logger.warning(
            "WebSockets are accepted by plain ASGI, not the fast way: %s stands before the application",
            type(application).__qualname__,
        )
        return None
    return application.fast_accept


def _parts(number: str) -> tuple[int, ...]:
    return tuple(int(each) for each in re.findall(r"\d+", number)[:3])
