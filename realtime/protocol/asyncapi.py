"""The live streams described for machines: AsyncAPI 3.0 at `/api/asyncapi.json`.

Made from the very types, limits and close codes that the code uses, so that it cannot say something else. "Send" and
"receive" are ours, as AsyncAPI wants it: what we send is what a client hears.
"""

from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from orders.access import grant_cookie
from orders.domain import events
from orders.journal import queries
from realtime.protocol import messages
from realtime.protocol.asyncapi_frames import BARE, HEARD, SENT, STREAMED, Json, frames, schemas
from realtime.protocol.http import STATUS
from realtime.protocol.messages import Close
from realtime.runtime.limits import timing

_DESCRIPTION = f"""\
Every committed event of an order reaches every page that watches it, in the order of versions, each version once.
What is lost on the way is read from the journal, after {{check:g}} s at the latest.

**Cursor.** `epoch` and `version` for each order. Versions have no holes: after *n* comes *n* + 1, and whoever sees
something else has lost something. Come back with the cursor of the last frame that you have taken. The answer is
`synced`: `current` (nothing was missed), `tail` (`events` are what was missed), or `snapshot` (forget what you hold:
more than {queries.TAIL_LIMIT} events behind, another epoch, or a cursor from the future). The epoch changes when a
journal is restored. A field that you do not know is none of your business; more may come.

**Credentials**, by any of the security schemes; for a socket also in its first frame, `hello`, within {{hello:g}} s.

**Close codes** stand in `x-close-codes`, with what a client does next, limits in `x-limits`. Over HTTP the same
refusals are problem+json with the statuses of `x-statuses`, until a stream has begun.

**Polling**, where neither can be had: `GET /api/orders/{{order}}` with `If-None-Match: "<epoch>:<version>"`, and
`GET /api/orders/{{order}}/events?after=<version>`, with the same cursors.
"""


@cache
def document() -> Json:
    """The description. Plain JSON values; made once."""
    times = timing()
    parts = urlsplit(settings.ORDERCAST_PUBLIC_URL)
    secure = "s" if parts.scheme == "https" else ""
    server = {"host": parts.netloc, "pathname": parts.path or "/"}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Ordercast, live",
            "version": messages.SUBPROTOCOL.removeprefix("orders.v") + ".0.0",
            "description": _described(times.check, times.hello),
            "license": {"name": "MIT"},
            "x-close-codes": [_close_code(code) for code in Close],
            "x-limits": _limits(),
            "x-events": {name: _event(each) for name, each in events.registered().items()},
        },
        "defaultContentType": "application/json",
        "servers": {
            "socket": {**server, "protocol": f"ws{secure}", "security": _security("socket")},
            "http": {**server, "protocol": f"http{secure}", "security": _security("http")},
        },
        "channels": _channels(),
        "operations": _operations(),
        "components": {
            "schemas": schemas(),
            "messages": frames(),
            "securitySchemes": _SECURITY,
        },
    }


@require_safe
def view(_request: HttpRequest) -> JsonResponse:
    """For anybody: it says how to ask, and nothing of what is there."""
    answer = JsonResponse(document(), json_dumps_params={"ensure_ascii": False})
    answer["Cache-Control"] = "public, max-age=300"
    return answer


def _described(check: float, hello: float) -> str:
    return _DESCRIPTION.format(check=check, hello=hello, order="{order}")


# Channels and operations


def _channels() -> Json:
    order = {"order": {"description": "The order's ref: 32 lower-case hex characters."}}
    both = [*SENT, *HEARD, *BARE]
    cursor = {
        "epoch": {"type": "string", "maxLength": 64},
        "version": {"type": "integer", "minimum": 0},
    }
    token = {"token": {"type": "string", "description": "A token or grant."}}
    return {
        "order": {
            "address": "/ws/orders/{order}/",
            "title": "One order",
            "description": "Closed with 4003 where the order is not yours or not there.",
            "servers": [{"$ref": "#/servers/socket"}],
            "parameters": order,
            "messages": _message_refs(both),
            "bindings": {"ws": {"method": "GET", "query": _query({**cursor, **token})}},
        },
        "orders": {
            "address": "/ws/orders/",
            "title": "Many orders",
            "description": "An order that is not yours or not there is an `error` that names it; the socket goes on.",
            "servers": [{"$ref": "#/servers/socket"}],
            "messages": _message_refs(both),
            "bindings": {"ws": {"method": "GET", "query": _query(token)}},
        },
        "stream": {
            "address": "/api/orders/{order}/stream",
            "title": "One order, as server-sent events",
            "description": "`event` is the frame's type, `data` the frame, `id` the cursor, `<epoch>:<version>`; "
            "resumed by `Last-Event-ID`, or `?epoch=&version=` at first. A comment is a sign of life.",
            "servers": [{"$ref": "#/servers/http"}],
            "parameters": order,
            "messages": _message_refs(STREAMED),
            "x-statuses": {
                str(int(code)): {"status": status, "code": name}
                for code, (status, name) in STATUS.items()
            },
        },
    }


def _operations() -> Json:
    def one(action: str, channel: str, names: Any, summary: str) -> Json:
        return {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "summary": summary,
            "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
        }

    sent, heard = [*SENT, "barePong"], [*HEARD, "barePing"]
    return {
        "tellOfOrder": one("send", "order", sent, "What happens to one order"),
        "hearOnOrder": one("receive", "order", heard, "What a client says on its socket"),
        "tellOfOrders": one("send", "orders", sent, "What happens to many orders"),
        "hearOnOrders": one("receive", "orders", heard, "What a client says on its socket"),
        "stream": one("send", "stream", STREAMED, "What happens to one order, as a stream"),
    }


def _message_refs(names: Any) -> Json:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _query(properties: Json) -> Json:
    return {"type": "object", "properties": properties}


# What else there is to know


def _close_code(code: Close) -> Json:
    return {"code": int(code), "name": code.name, "meaning": code.meaning, "client": code.client}


def _event(event: type[events.Event]) -> Json:
    """`data` holds these values beside the order's totals."""
    said = (event.__doc__ or "").split("\n\n")[0]
    is_written = not said.startswith(f"{event.__name__}(")
    return {
        "data": list(event.public),
        **({"summary": " ".join(said.split())} if is_written else {}),
    }


def _limits() -> Json:
    times = timing()
    return {
        "max_frame_bytes": messages.MAX_FRAME_BYTES,
        "max_subscriptions": messages.MAX_SUBSCRIPTIONS,
        "messages_per_second": messages.MESSAGES_PER_SECOND,
        "message_burst": messages.MESSAGE_BURST,
        "orders_for_a_message": messages.ORDERS_FOR_A_MESSAGE,
        "orders_named_in_an_error": messages.NAMED_REFUSALS,
        "bytes_for_an_order": messages.BYTES_FOR_AN_ORDER,
        "orders_per_minute": {kind: 60 * rate for kind, rate in times.order_rates().items()},
        "connections": times.connections(),
        "max_tail_events": queries.TAIL_LIMIT,
        "position_check_ms": int(times.check * 1000),
        "hello_within_ms": int(times.hello * 1000),
        "heartbeat_ms": int(times.ping * 1000),
        "stream_heartbeat_ms": int(times.sse_ping * 1000),
        "silence_ms": int(times.silence * 1000),
        "too_slow_after_ms": int(times.write * 1000),
        "max_age_ms": int(times.max_age * 1000),
    }


def _security(server: str) -> list[Json]:
    names = [name for name in _SECURITY if server == "socket" or name != "subprotocol"]
    return [{"$ref": f"#/components/securitySchemes/{name}"} for name in names]


_SECURITY: dict[str, Json] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "A service token, a user's token, or the grant of single orders.",
    },
    "token": {
        "type": "httpApiKey",
        "in": "query",
        "name": "token",
        "description": "The same, for clients with no other way: ours never use it. It is kept out of our logs.",
    },
    "subprotocol": {
        "type": "httpApiKey",
        "in": "header",
        "name": "Sec-WebSocket-Protocol",
        "description": "`orders.v1, bearer.<token>`: what a browser's WebSocket can set.",
    },
    "session": {
        "type": "httpApiKey",
        "in": "cookie",
        "name": settings.SESSION_COOKIE_NAME,
        "description": "A customer who has logged in. Not from pages of other sites.",
    },
    "grant": {
        "type": "httpApiKey",
        "in": "cookie",
        "name": grant_cookie.SOCKET,
        "description": "What an order's page has exchanged the grant in its address for; sent to that order's own "
        "socket alone. Not from pages of other sites.",
    },
}
