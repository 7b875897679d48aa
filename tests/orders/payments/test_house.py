"""The house provider: the conformance suite against the sandbox, and what its own protocol adds."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks import Webhook

from orders.payments.base import (
    AmbiguousOutcome,
    BadSignature,
    CancelPayment,
    CreatePayment,
    Malformed,
    PaymentStatus,
    Provider,
    RefundPayment,
    Snapshot,
)
from orders.payments.house import House
from orders.payments.signatures import Signatures, retry_after
from tests.orders.payments.conformance import ProviderConformance
from tests.orders.payments.receiver import Receiver
from tests.orders.payments.worlds import TIMEOUT, World, asked
from tests.sandbox import SandboxProcess

SECRET = "whsec_aG91c2UtdGVzdC1zZWNyZXQtMzItYnl0ZXMtbG9uZw=="
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PAYMENT: dict[str, Any] = {
    "merchant_ref": "m" * 32,
    "provider_ref": "pay_1",
    "status": "captured",
    "amount": 1250,
    "currency": "EUR",
    "captured": 1250,
}


class HouseWorld:
    """The sandbox, as the conformance suite wants to see it."""

    other_secret = "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldA=="

    def __init__(self, sandbox: SandboxProcess, callbacks: Receiver) -> None:
        self._sandbox, self._callbacks = sandbox, callbacks
        self.callback_url, self.secret = callbacks.url, sandbox.secret
        self._made: list[House] = []

    def provider(self, *, url: str | None = None, secrets: Sequence[str] | None = None) -> Provider:
        house = House(
            url or self._sandbox.url, self._sandbox.key, list(secrets or [self.secret]), TIMEOUT
        )
        self._made.append(house)
        return house

    def act(self, payment: Snapshot, action: str, amount: int | None = None) -> None:
        self._sandbox.act(payment.provider_ref, action, amount)

    def fault(self, kind: str, *calls: str, **options: Any) -> None:
        self._sandbox.set_faults({"fault": kind, "calls": calls, **options})

    def callbacks(self, least: int = 1) -> Sequence[tuple[Mapping[str, str], bytes]]:
        return [(came.headers, came.body) for came in self._callbacks.wait_for(least)]

    def confirmed(self, request: CreatePayment) -> CreatePayment:
        return replace(request, confirm=True)

    def declined(self, request: CreatePayment) -> CreatePayment:
        return replace(self.confirmed(request), metadata={"sandbox": {"outcome": "declined"}})

    def close(self) -> None:
        for house in self._made:
            house.close()


@pytest.fixture
def world(sandbox: SandboxProcess, callbacks: Receiver) -> Iterator[HouseWorld]:
    made = HouseWorld(sandbox, callbacks)
    yield made
    made.close()


class TestHouse(ProviderConformance):
    """House passes the suite."""


@pytest.fixture
def house() -> Iterator[House]:
    made = House("http://127.0.0.1:9", "key", [SECRET], TIMEOUT)
    yield made
    made.close()


def signed(body: bytes, *, event_id: str = "evt_1", at: datetime = NOW) -> dict[str, str]:
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(SECRET).sign(event_id, at, body.decode()),
    }


def callback_body(**changes: Any) -> bytes:
    data = {**PAYMENT, **changes}
    return json.dumps({"type": "payment.captured", "data": data}).encode()


GENUINE = callback_body()


def test_the_time_is_the_callers_and_not_the_machines(house: House) -> None:
    (event,) = house.parse_callback(signed(GENUINE), GENUINE, NOW + timedelta(minutes=5))

    assert (event.event_id, event.kind) == ("evt_1", "payment.captured")
    assert event.snapshot is not None
    assert event.snapshot.status is PaymentStatus.CAPTURED
    assert event.snapshot.raw == PAYMENT


def test_one_of_several_signatures_is_enough(house: House) -> None:
    headers = signed(GENUINE)
    headers["webhook-signature"] = f"v1a,zzzz v1,AAAA {headers['webhook-signature']}"

    assert len(house.parse_callback(headers, GENUINE, NOW)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"webhook-signature": value}
        for value in (
            "", " ", ",", "v1", "v1,", "v1,A", "v1,====", "v1,ä", "v1,\ud800", "v2,AAAA", "v1,AAAA,BBBB", "v1 AAAA",
            "v1," + base64.b64encode(b"x" * 32).decode(), "v1," + "A" * 100_000, "\x00", "v1,AAAA " * 1000,
        )
    ]
    + [
        {"webhook-timestamp": value}
        for value in (
            "", "x", "-1", "0", "1e9", "nan", "inf", "-inf", "9" * 400, "99999999999", "1_772_366_400",
            f" {int(NOW.timestamp())}", f"{int(NOW.timestamp())}.0", f"0{int(NOW.timestamp())}", "١٢٣", "\ud800",
        )
    ]
    + [{"webhook-id": value} for value in ("", "evt_2", "ä", "\ud800", "\x00", "evt_1.", "x" * 10_000)],
)  # fmt: skip
def test_garbage_in_a_header_is_a_bad_signature(house: House, changes: dict[str, Any]) -> None:
    with pytest.raises(BadSignature):
        house.parse_callback({**signed(GENUINE), **changes}, GENUINE, NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_a_bad_signature(house: House, missing: str) -> None:
    headers = signed(GENUINE)
    del headers[missing]

    with pytest.raises(BadSignature, match=missing):
        house.parse_callback(headers, GENUINE, NOW)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", GENUINE[:-1], GENUINE + b" ", b"\xed\xa0\x80"])
def test_another_body_is_a_bad_signature(house: House, body: bytes) -> None:
    with pytest.raises(BadSignature):
        house.parse_callback(signed(GENUINE), body, NOW)


SIGNATURES = Signatures([SECRET])
HEADER = st.text(max_size=60) | st.sampled_from(list(signed(GENUINE).values()))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from([*signed(GENUINE), "other"]), HEADER),
    st.binary(max_size=200) | st.just(GENUINE + b"\n"),
)
def test_whatever_comes_it_is_a_bad_signature(headers: dict[str, str], body: bytes) -> None:
    with pytest.raises(BadSignature):
        SIGNATURES.verify(headers, body, NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b"not json", b'{"type": "x"}', b'{"type": "x", "data": null}', b"[" * 10_000,
        callback_body(amount=-1), callback_body(amount=12.5), callback_body(amount="1250"), callback_body(amount=True),
        callback_body(amount=2**63), callback_body(captured=None), callback_body(currency="eur"),
        callback_body(currency="EURO"), callback_body(status="paid"), callback_body(merchant_ref=""),
        callback_body(merchant_ref="a\x00b"), callback_body(merchant_ref="\ud800"), callback_body(metadata="\x00"),
        callback_body(provider_ref="x" * 129), callback_body(refunds=[{}]), callback_body(refunds={}),
        callback_body(dispute="closed"), callback_body(metadata={"x": float("nan")}),
        json.dumps({"type": "x", "occurred_at": "yesterday", "data": PAYMENT}).encode(),
        json.dumps({"type": "x", "occurred_at": "2026-03-01T12:00:00", "data": PAYMENT}).encode(),
    ],
)  # fmt: skip
def test_a_signed_body_that_makes_no_sense_is_malformed(house: House, body: bytes) -> None:
    with pytest.raises(Malformed):
        house.parse_callback(signed(body), body, NOW)


@pytest.mark.parametrize("event_id", ["x" * 201, "evt\n1"])
def test_a_signed_event_id_that_could_not_be_kept_is_malformed(house: House, event_id: str) -> None:
    with pytest.raises(Malformed):
        house.parse_callback(signed(GENUINE, event_id=event_id), GENUINE, NOW)


def test_what_was_malformed_is_not_quoted(house: House) -> None:
    body = callback_body(amount="4111111111111111")

    with pytest.raises(Malformed) as malformed:
        house.parse_callback(signed(body), body, NOW)

    assert "4111" not in str(malformed.value)
    assert "amount" in str(malformed.value)


@pytest.mark.parametrize("secrets", [[], ["whsec_"], [""], ["whsec_ä"], [SECRET, "whsec_x"]])
def test_a_bad_secret_is_refused_without_being_quoted(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="webhook secret") as wrong:
        House("http://127.0.0.1:9", "key", secrets, TIMEOUT)

    assert SECRET not in str(wrong.value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("1.5", 1.5), ("-3", 0.0), ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0), ("soon", None), ("", None), (None, None), ("inf", None), ("nan", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@contextmanager
def raw_server(*chunks: bytes, pause: float = 0.0) -> Iterator[str]:
    """Answers one request with these bytes, and hangs up when they are sent or nobody listens."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(65536)
            for chunk in chunks:
                connection.sendall(chunk)
                done.wait(pause)

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("chunks", "pause"),
    [
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n", *[b" "] * 99], 0.1),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 3000000\r\n\r\n", *[b" " * 100_000] * 30], 0),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"], 0),
        ([b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}"], 0),
        ([b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n"], 0),
        ([b"SSH-2.0-hello\r\n"], 0),
    ],
    ids=["drips", "endless", "cut", "not gzip", "redirect", "not HTTP"],
)
def test_an_answer_from_something_else_ends_soon_and_is_ambiguous(
    chunks: list[bytes], pause: float
) -> None:
    with raw_server(*chunks, pause=pause) as url:
        house = House(url, "key", [SECRET], TIMEOUT)
        started = time.monotonic()
        with pytest.raises(AmbiguousOutcome):
            house.cancel(CancelPayment(merchant_ref="m", provider_ref="p"))
        took = time.monotonic() - started
        house.close()

    assert took < TIMEOUT * 3


def test_a_call_that_is_still_being_worked_on_is_ambiguous() -> None:
    body = b'{"error": {"code": "idempotency_key_in_use", "message": "try again"}}'
    head = f"HTTP/1.1 409 Conflict\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    with raw_server(head + body) as url:
        house = House(url, "key", [SECRET], TIMEOUT)
        with pytest.raises(AmbiguousOutcome, match="try again"):
            house.refund(
                RefundPayment(ref="r", merchant_ref="m", provider_ref="p", amount=1, reason="")
            )
        house.close()


def test_a_wrong_key_is_refused(world: World, sandbox: SandboxProcess) -> None:
    stranger = House(sandbox.url, "wrong", [sandbox.secret], TIMEOUT)

    with pytest.raises(Exception, match="401") as refused:
        stranger.create(asked(world))

    stranger.close()
    assert getattr(refused.value, "code", None) == "unauthorised"
