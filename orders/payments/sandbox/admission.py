"""Who reaches the sandbox: under which names it answers, and who may open its console."""

import hmac
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

USER = "demo"
_CONSOLE = ("/", "/faults")


class NamedHosts:
    """Refuses a `Host` that is neither an address, nor localhost, nor named.

    A page of another site may let its own name point here (DNS rebinding): its requests would then be of the same
    origin, and the forms of the console would be taken from it. An address cannot be pointed elsewhere.
    """

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_known(Headers(scope=scope).get("host", "")):
            known = ", ".join(sorted(self._names - {""}))
            refusal = PlainTextResponse(
                f"The sandbox is not reached by this name. It answers to addresses and to {known}.\n",
                400,
            )
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_known(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name.lower() in self._names or _is_address(name)


class ConsolePassword:
    """Asks for a password (HTTP Basic) before the console, if there is one. The checkout is the customers'."""

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app, self._password = app, password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._password and scope["type"] == "http" and _is_console(scope["path"]):
            given = Headers(scope=scope).get("authorization", "")
            if not hmac.compare_digest(_password(given).encode(), self._password.encode()):
                refusal = PlainTextResponse(
                    f"The console of the sandbox takes the password of the demo's user {USER!r}.\n",
                    401,
                    {"WWW-Authenticate": 'Basic realm="sandbox"'},
                )
                await refusal(scope, receive, send)
                return
        await self._app(scope, receive, send)


class FramedBy:
    """Lets pages of one other origin show these in a frame. Everybody else's may not, as the pages themselves say."""

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self._app, self._origin = app, origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def allowing(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if policy := headers.get("content-security-policy"):
                    allowed = policy.replace("ancestors 'none'", f"ancestors {self._origin}")
                    headers["content-security-policy"] = allowed
            await send(message)

        await self._app(scope, receive, allowing if self._origin else send)


def _is_console(path: str) -> bool:
    return path in _CONSOLE or path.startswith("/payments/")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _password(given: str) -> str:
    """What follows the user's name in `Basic …`; "" for anything else."""
    scheme, _, value = given.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        user, _, password = b64decode(value, validate=True).decode().partition(":")
    except (Base64Error, ValueError):
        return ""
    return password if user == USER else ""
