"""Who is behind a session, outside a Django request."""

from importlib import import_module
from types import SimpleNamespace
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user


def user_of(session_key: str) -> Any:
    """The user who has logged in, or Django's `AnonymousUser`. Asks the database; raises its errors."""
    store = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    # All that Django's own `get_user` needs of a request.
    request: Any = SimpleNamespace(session=store)
    return get_user(request)
