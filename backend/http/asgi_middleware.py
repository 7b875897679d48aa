"""ASGI middleware of an installation (OpenTelemetry, Sentry): it wraps all, sockets and streams too."""

from collections.abc import Sequence
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string


def wrapped(application: Any, paths: Sequence[str]) -> Any:
    """`application` inside each, the first outermost. Raises `ImproperlyConfigured`, naming the path and its fault."""
    for path in reversed(paths):
        application = _one(path, application)
    return application


def _one(path: str, application: Any) -> Any:
    try:
        made = import_string(path)(application)
    except Exception as error:
        raise _wrong(path, f"{type(error).__name__}: {error}") from error
    if not callable(made):
        raise _wrong(path, f"it made {type(made).__name__}, which is no ASGI application")
    return made


def _wrong(path: str, fault: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"ORDERCAST_ASGI_MIDDLEWARE names {path!r}, which does not work ({fault}). It takes dotted paths of classes "
        "that are called with an ASGI application and give one, for example "
        "opentelemetry.instrumentation.asgi.OpenTelemetryMiddleware"
    )
