"""`manage.py watch REF`: follow an order live in a terminal, as a page does."""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from realtime.protocol.messages import Close

_PAUSE = 1.0  # seconds before a connection is opened again
_FOR_GOOD = {close for close in Close if close.client == "stop"} | {Close.TOKEN_EXPIRED}


class Command(BaseCommand):
    help = "Follows an order live, over WebSocket, and resumes where a connection was lost."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("ref", help="the order's reference")
        parser.add_argument("--url", help="of the web process; as a rule ORDERCAST_PUBLIC_URL")
        parser.add_argument(
            "--token", help="a token or grant; as a rule ORDERCAST_SERVICE_TOKEN of this machine"
        )
        parser.add_argument("--json", action="store_true", help="print each frame as it came")

    def handle(self, *args: Any, **options: Any) -> None:
        # Ctrl-C, and the end of whoever reads, are how one stops watching.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        watching = Watching(
            options["ref"],
            options["url"] or settings.ORDERCAST_PUBLIC_URL,
            options["token"] or settings.ORDERCAST_SERVICE_TOKEN,
            is_raw=options["json"],
        )
        with suppress(KeyboardInterrupt):
            asyncio.run(watching.run())


class Watching:
    """`url` is http:// or https://. Raises `CommandError` when the server says not to come again."""

    def __init__(self, ref: str, url: str, token: str, *, is_raw: bool) -> None:
        self._ref, self._token, self._is_raw = ref, token, is_raw
        parts = urlsplit(url)
        scheme = "wss" if parts.scheme == "https" else "ws"
        self._address = f"{scheme}://{parts.netloc}/ws/orders/{ref}/"
        self._cursor: dict[str, Any] = {}

    async def run(self) -> None:
        while True:
            try:
                await self._connection()
            except InvalidStatus as refused:
                if refused.response.status_code < 500:
                    raise CommandError(_refusal(refused)) from None
                self._note(f"the server answers {refused.response.status_code}")
            except (OSError, InvalidHandshake, TimeoutError) as lost:
                self._note(str(lost) or type(lost).__name__)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                reason = closed.rcvd.reason if closed.rcvd else "the connection was lost"
                if code in _FOR_GOOD:
                    raise CommandError(f"closed with {code}: {reason}") from None
                self._note(f"{code} {reason}")
            await asyncio.sleep(_PAUSE)

    async def _connection(self) -> None:
        query = f"?{urlencode(self._cursor)}" if self._cursor else ""
        async with connect(
            self._address + query,
            additional_headers={"Authorization": f"Bearer {self._token}"},
            compression=None,
            proxy=None,
            close_timeout=1,  # seconds; whoever presses Ctrl-C does not want to wait
        ) as socket:
            while True:
                text = await socket.recv()
                self._take(json.loads(text), str(text))

    def _take(self, frame: dict[str, Any], text: str) -> None:
        if frame["type"] in ("synced", "event"):
            self._cursor = {"epoch": frame["epoch"], "version": frame["version"]}
        if self._is_raw:
            print(text, flush=True)
            return
        match frame["type"]:
            case "synced":
                for event in frame.get("events", ()):
                    self._event(event)
                shown = f": {frame['state']}  {_data(frame)}" if frame["mode"] == "snapshot" else ""
                print(f"in step at version {frame['version']}{shown}", flush=True)
            case "event":
                self._event(frame)
            case "error":
                print(f"error {frame['code']}: {frame['message']}", flush=True)

    def _event(self, event: dict[str, Any]) -> None:
        print(
            f"{event['version']:>4}  {event['event']:<24} → {event['state']:<18} {_data(event)}",
            flush=True,
        )

    def _note(self, what: str) -> None:
        print(f"({what}; connecting again)", file=sys.stderr, flush=True)


def _data(frame: dict[str, Any]) -> str:
    return json.dumps(frame.get("data") or {}, ensure_ascii=False)


def _refusal(refused: InvalidStatus) -> str:
    body = refused.response.body or b""
    with suppress(ValueError):
        problem = json.loads(body)
        return f"refused with {refused.response.status_code} {problem['code']}: {problem['detail']}"
    return f"refused with {refused.response.status_code}"
