"""What the sandbox's routes share: who may call, how a body is read, how an error looks, how a connection is cut."""

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from orders.payments.sandbox.desk import Desk
from orders.payments.sandbox.payments import NotPossible

MAX_BODY = 1_000_000  # bytes
M = TypeVar("M", bound=BaseModel)
Handler = Callable[[Request, "Sandbox"], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Sandbox:
    """What a route needs of the running sandbox."""

    desk: Desk
    key: str
    calls: dict[str, int] = field(default_factory=dict)  # API calls since the start, by kind


def json_response(
    data: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return Response(json.dumps(data), status, headers, media_type="application/json")


def error(status: int, code: str, message: str, **headers: str) -> Response:
    return json_response({"error": {"code": code, "message": message}}, status, headers)


def guarded(handler: Handler) -> Endpoint:
    """A route that needs the bearer key, and whose `NotPossible` becomes an error answer."""

    async def endpoint(request: Request) -> Response:
        sandbox: Sandbox = request.app.state.sandbox
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {sandbox.key}".encode()):
            return error(401, "unauthorised", "Authorization: Bearer <key> is missing or wrong")
        try:
            return await handler(request, sandbox)
        except NotPossible as no:
            return error(no.status, no.code, str(no))

    return endpoint


async def body_of(request: Request) -> bytes:
    """The whole body. Raises `NotPossible` for one that is too long."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise NotPossible(f"more than {MAX_BODY} bytes", code="too_large", status=413)
    return bytes(body)


def parsed(model: type[M], body: bytes) -> M:
    """The body as `model`. Raises `NotPossible`, saying which field is wrong and how."""
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as wrong:
        raise invalid(wrong) from None


def invalid(wrong: ValidationError) -> NotPossible:
    lines = [
        f"{'.'.join(map(str, e['loc'])) or 'body'}: {e['msg']}"
        for e in wrong.errors(include_url=False, include_input=False, include_context=False)
    ]
    return NotPossible("; ".join(lines[:5]), code="invalid_request", status=422)


def as_json(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json")


_transports: dict[tuple[str, int], asyncio.Transport] = {}


class CuttableProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with its connections known by the client's address, so that one can be cut."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.client:
            _transports[self.client] = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.client:
            _transports.pop(self.client, None)
        super().connection_lost(exc)


class Cut(Response):
    """No answer: the connection is reset, as when a proxy dies."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        transport = _transports.get(tuple(scope["client"]))
        if transport is None:
            raise RuntimeError("the sandbox was not started with CuttableProtocol")
        transport.abort()
        while (await receive())["type"] != "http.disconnect":
            pass
