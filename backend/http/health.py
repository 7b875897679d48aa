"""Is this process alive, and is it of use? For load balancers, containers and `manage.py up`."""

import redis
from django.conf import settings
from django.db import Error, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from psycopg_pool import PoolTimeout

from realtime.hub import local


def live(_request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers."""
    return HttpResponse("alive\n", content_type="text/plain")


def ready(_request: HttpRequest) -> JsonResponse:
    """200 while the database answers, else 503. A Valkey that is away makes pages slower, not wrong: still 200.

    A process that is about to go away is not ready either, so that no page is sent to it any more.
    """
    database, valkey, hub = _database(), _valkey(), local.health()
    is_ready = database == "ok" and not (hub and hub["is_draining"])
    parts = {"database": database, "valkey": valkey, "hub": hub}
    return JsonResponse(parts, status=200 if is_ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (Error, PoolTimeout) as error:
        return f"away: {error}".strip()
    return "ok"


def _valkey() -> str:
    options = {
        "socket_connect_timeout": settings.VALKEY_TIMEOUT,
        "socket_timeout": settings.VALKEY_TIMEOUT,
    }
    try:
        with redis.Redis.from_url(settings.VALKEY_URL, **options) as client:
            client.ping()
    except redis.RedisError as error:
        return f"away: {error}"
    return "ok"
