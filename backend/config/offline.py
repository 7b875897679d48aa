"""Settings without a database, for what only looks at the code: whether migrations are missing (`make check`)."""

from backend.settings import *  # noqa: F403 — a settings module is made of names

DATABASES = {"default": {"ENGINE": "django.db.backends.dummy"}}
