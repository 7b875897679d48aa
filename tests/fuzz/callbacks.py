"""A genuine callback, with every byte of its signature, id, timestamp and body changed in turn: none may be taken."""

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

from tests.fuzz.tally import Tally
from tests.fuzz.target import WEBHOOK_SECRET, Target

PATH = "/callbacks/house/"
NASTY = [
    b"",
    b"{}",
    b"null",
    b"[]",
    b'"\\ud800"',
    b"\x00",
    b"\xff\xfe",
    b"{" * 10_000,
    b"1" * 5_000,
    b'{"data":NaN}',
]


def run(target: Target, tally: Tally, count: int) -> None:
    """About `count` forged callbacks, and then the genuine one."""
    with httpx.Client(base_url=target.url, timeout=30, trust_env=False) as client:
        sender = _Sender(client, tally)
        before = target.version()
        forged = list(_forged(target.payment))
        for what, headers, body in forged[:: max(1, len(forged) // count)]:
            sender.expect(what, headers, body, {400})
        for body in NASTY:
            # Signed by somebody who has the secret, and still nonsense.
            sender.expect(f"signed nonsense {body[:20]!r}", signed(body), body, {400})
        if target.version() != before:
            tally.blame("crashes", "a forged callback has moved the order")
        sender.expect("the genuine one", *_genuine(target.payment), {200, 202, 204})
        if target.version() == before:
            tally.blame(
                "crashes", "the genuine callback was refused: the forged ones prove nothing"
            )


class _Sender:
    def __init__(self, client: httpx.Client, tally: Tally) -> None:
        self._client, self._tally = client, tally

    def expect(self, what: str, headers: dict[str, str], body: bytes, statuses: set[int]) -> None:
        self._tally.callbacks += 1
        try:
            answer = self._client.post(PATH, content=body, headers=_encoded(headers))
        except httpx.HTTPError as error:
            self._tally.blame("crashes", f"{what}: {error!r}")
            return
        if answer.status_code >= 500:
            self._tally.blame("server_errors", f"{what}: {answer.status_code}")
        elif answer.status_code not in statuses:
            self._tally.blame("undocumented", f"{what}: {answer.status_code}")


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]


def _genuine(payment: str) -> tuple[dict[str, str], bytes]:
    data = {
        "merchant_ref": payment,
        "provider_ref": f"fuzz_{secrets.token_hex(6)}",
        "status": "processing",
        "amount": 1250,
        "currency": "EUR",
    }
    body = json.dumps({"type": "payment.updated", "data": data}).encode()
    return signed(body), body


def signed(body: bytes) -> dict[str, str]:
    event_id, at = f"msg_{secrets.token_hex(8)}", datetime.now(UTC)
    text = body.decode("utf-8", "replace")
    return {
        "content-type": "application/json",
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(WEBHOOK_SECRET).sign(event_id, at, text),
    }


def _forged(payment: str) -> Iterator[tuple[str, dict[str, str], bytes]]:
    headers, body = _genuine(payment)
    for name in ("webhook-signature", "webhook-timestamp", "webhook-id"):
        value = headers[name]
        for place in range(len(value)):
            for changed in {chr(ord(value[place]) ^ 1), "0", " ", "\xff"} - {value[place]}:
                # A space at either end is no part of a header's value.
                if changed == " " and place in {0, len(value) - 1}:
                    continue
                forged = value[:place] + changed + value[place + 1 :]
                yield f"{name}, byte {place} → {changed!r}", {**headers, name: forged}, body
        yield f"no {name}", {k: v for k, v in headers.items() if k != name}, body
    for place in range(len(body)):
        for flipped in (body[place] ^ 1, body[place] ^ 0x80, 0):
            torn = body[:place] + bytes([flipped]) + body[place + 1 :]
            yield f"body, byte {place} → {flipped}", headers, torn
    yield "a byte more", headers, body + b" "
    yield "a byte less", headers, body[:-1]
