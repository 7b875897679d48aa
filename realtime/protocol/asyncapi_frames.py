"""The frames of `orders.v1` as AsyncAPI has messages and schemas, from the types in `realtime.protocol.messages`."""

from typing import Any

from pydantic import BaseModel

from orders.domain import events
from realtime.protocol import messages
from realtime.protocol.messages import Close

Json = dict[str, Any]

SENT: dict[str, tuple[type[BaseModel], str]] = {
    "welcome": (messages.Welcome, "The first frame of a socket."),
    "synced": (messages.Synced, "Where the client stands in an order now."),
    "event": (messages.EventFrame, "One event, in the order of versions, without a hole."),
    "error": (messages.Error, "What was wrong, always before a close that has a reason."),
    "draining": (messages.Draining, "This process goes away; come back elsewhere."),
    "serverPing": (messages.ServerPing, "A sign of life."),
}
HEARD: dict[str, tuple[type[BaseModel], str]] = {
    "hello": (messages.Hello, "Who the client is, and what it watches. Not needed with a token."),
    "subscribe": (messages.Subscribe, "Watch these orders too, each from the cursor given."),
    "unsubscribe": (messages.Unsubscribe, "Watch these no longer."),
    "refresh": (messages.Refresh, "A new token, before the old one runs out."),
    "clientPing": (messages.ClientPing, "A sign of life; who has sent one must go on."),
}
BARE = {"barePing": messages.BARE_PING, "barePong": messages.BARE_PONG}
STREAMED = ("synced", "event", "error", "draining")

_REF = "#/components/schemas/{model}"


def frames() -> Json:
    made = {
        name: {
            "name": model.model_fields["type"].annotation.__args__[0],  # type: ignore[union-attr]
            "title": name,
            "summary": summary,
            "payload": {"$ref": _REF.format(model=model.__name__)},
        }
        for name, (model, summary) in (SENT | HEARD).items()
    }
    bare = {
        name: {
            "name": word,
            "title": name,
            "summary": f"The bare text `{word}`, not JSON, for clients and proxies that know only this.",
            "contentType": "text/plain",
            "payload": {"type": "string", "const": word},
        }
        for name, word in BARE.items()
    }
    return {**made, **bare}


def schemas() -> Json:
    found: Json = {}
    for model, _ in SENT.values():
        found |= _named(model, _told)
    for model, _ in HEARD.values():
        found |= _named(model, lambda schema: schema)
    found["Error"]["properties"]["code"]["enum"] = [int(code) for code in Close]
    found["EventFrame"]["properties"]["event"]["examples"] = list(events.registered())
    return found


def _named(model: type[BaseModel], form: Any) -> Json:
    """A model's schema and those that it refers to, by name."""
    schema = model.model_json_schema(ref_template=_REF)
    return {**schema.pop("$defs", {}), model.__name__: form(schema)}


def _told(schema: Json) -> Json:
    """A frame of ours: what has no value is left out, never null, and the rest is always there."""
    properties: Json = schema["properties"]
    left_out = [
        name for name, each in properties.items() if {"type": "null"} in each.get("anyOf", ())
    ]
    for name in left_out:
        (meant,) = (each for each in properties[name]["anyOf"] if each != {"type": "null"})
        properties[name] = meant
    return {**schema, "required": [name for name in properties if name not in left_out]}
