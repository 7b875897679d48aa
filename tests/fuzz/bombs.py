"""Texts that make a careless pattern work for minutes, or a careless log lie, wherever a stranger can put one."""

import re
import secrets
import socket
from collections.abc import Iterator
from contextlib import suppress
from urllib.parse import quote

import httpx

from tests.fuzz.callbacks import PATH, signed
from tests.fuzz.tally import Tally
from tests.fuzz.target import TOKEN, Target

KB = 1024
PARTS = ("eyJ-", '\\"', "eyJaaaaa.", "token=", '"token" ', "bearer ", "4 ", "sk_live_", "://")
FORGED = "forged-by-a-stranger"
HANDSHAKE = (
    "GET /ws/orders/?{query} HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def run(target: Target, tally: Tally, rounds: int) -> None:
    """Each text in each place, `rounds` times."""
    with httpx.Client(base_url=target.url, timeout=30, trust_env=False) as client:
        for _ in range(rounds):
            for part in PARTS:
                for request in _requests(client, part):
                    _send(client, tally, request)
                _shake_hands(target, tally, part)
            for request in _forgeries(client):
                _send(client, tally, request)
    # A line that a stranger wrote would begin with its level, as every line of the log.
    if re.search(rf"^[^\n]{{0,30}}(INFO|WARNING|ERROR) {FORGED}", target.log(), re.MULTILINE):
        tally.blame("crashes", "a stranger wrote a line of the log")


def _requests(client: httpx.Client, part: str) -> Iterator[httpx.Request]:
    address, body = quote(part * (7 * KB // len(part))), part * (60 * KB // len(part))
    yield client.build_request("GET", f"/orders/{address}")
    yield client.build_request("GET", f"/orders/{'a' * 32}/?grant={address}")
    yield client.build_request("GET", f"/api/orders/{address}")
    yield client.build_request("GET", "/api/orders/x", headers={"X-Request-ID": address})
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    for text in (f'["{body}', f'["{body}"]', f'{{"currency": "{body}"}}', body):
        yield client.build_request("POST", "/api/orders", content=text, headers=headers)
    # Signed by somebody who has the secret: it is read, kept and logged.
    for text in (f'{{"a": "{part * (250 * KB // len(part))}', f'"{body}"'):
        signature = signed(text.encode())
        yield client.build_request("POST", PATH, content=text.encode(), headers=signature)
    guess = {"username": body[:4_000], "password": body[:4_000]}
    yield client.build_request("POST", "/login/", data=guess)


def _forgeries(client: httpx.Client) -> Iterator[httpx.Request]:
    for end in ("\n", "\r\n", "\r", "\u2028", "\x85", "\x0b", "\x1b[1K"):
        line = quote(f"x{end}INFO {FORGED}: payment.refund done actor=admin")
        yield client.build_request("GET", f"/{line}")
        yield client.build_request("POST", f"/callbacks/{line}/")
        yield client.build_request("POST", f"/{line}", headers={"X-Request-ID": f"a-{FORGED}"})


def _send(client: httpx.Client, tally: Tally, request: httpx.Request) -> None:
    tally.requests += 1
    where = f"{request.method} {request.url.path[:40]}"
    try:
        answer = client.send(request)
    except httpx.HTTPError as error:
        tally.blame("crashes", f"{where}: {type(error).__name__}")
        return
    if answer.status_code >= 500 and answer.status_code != 503:
        tally.blame("server_errors", f"{where}: {answer.status_code}")
    if FORGED in answer.headers.get("x-request-id", ""):
        tally.blame("crashes", f"{where}: a client chose the id of its request")


def _shake_hands(target: Target, tally: Tally, part: str) -> None:
    """As one of ours, and as a page of some other site, which is refused."""
    query = f"token={quote(part * (7 * KB // len(part)), safe='')[: 7 * KB]}"
    host = target.url.removeprefix("http://")
    for origin in (target.url, f"https://{secrets.token_hex(4)}.example"):
        tally.requests += 1
        head = HANDSHAKE.format(query=query, host=host, origin=origin)
        with suppress(OSError), socket.create_connection(target.address, timeout=5) as connection:
            connection.sendall(head.encode())
            answer = connection.recv(KB)
            if answer.startswith(b"HTTP/1.1 5"):
                tally.blame("server_errors", f"{answer[:20]!r} to a handshake of {part!r} × n")
