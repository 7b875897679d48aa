"""Frames held against what `/api/asyncapi.json` says of them."""

import json
from functools import cache
from typing import Any

import jsonschema_rs

from realtime.protocol.asyncapi import document

Json = dict[str, Any]


@cache
def _validators(direction: str) -> dict[str, Any]:
    """By the frame's type: the messages that we `send`, or `receive`."""
    described = document()
    schemas = {
        # A client lets unknown fields pass; here each must be described.
        name: {**schema, "additionalProperties": False}
        for name, schema in described["components"]["schemas"].items()
    }
    names = {
        ref["$ref"].rpartition("/")[2]
        for operation in described["operations"].values()
        if operation["action"] == direction
        for ref in operation["messages"]
    }
    found = {}
    for name in names:
        message = described["components"]["messages"][name]
        schema = {**message["payload"], "components": {"schemas": schemas}}
        is_bare = message.get("contentType") == "text/plain"
        kind = f"bare {message['name']}" if is_bare else message["name"]
        found[kind] = jsonschema_rs.validator_for(schema)
    return found


def kinds(direction: str) -> set[str]:
    return set(_validators(direction))


def kind_of(frame: Any) -> str:
    """A frame's type; `bare ping` and `bare pong` are text and no JSON."""
    return f"bare {frame}" if isinstance(frame, str) else str(frame["type"])


def problems(direction: str, frame: Any) -> list[str]:
    """What is not as described. Unknown kinds are a problem too."""
    kind = kind_of(frame)
    validator = _validators(direction).get(kind)
    if validator is None:
        return [f"a {kind!r} is not described"]
    return [
        f"{kind}: {error.message} in {json.dumps(frame)}" for error in validator.iter_errors(frame)
    ]
