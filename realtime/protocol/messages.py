"""Every frame of the protocol `orders.v1`: its shape, its limits, and the close codes. Nothing else makes frames.

The client's frames are checked strictly: a field that the protocol does not know is an error, because a misspelt
`version` would otherwise mean a snapshot without a word.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import to_json

from orders.domain.events import EventRecord

SUBPROTOCOL: Literal["orders.v1"] = "orders.v1"
MAX_FRAME_BYTES = 65_536
MAX_SUBSCRIPTIONS = 1_000  # on one socket
MAX_VERSION = 2**53 - 1  # what JavaScript can count
MESSAGES_PER_SECOND = 50  # over time
MESSAGE_BURST = 200  # at once
ORDERS_FOR_A_MESSAGE = 20  # that are subscribed to count as one message more
NAMED_REFUSALS = 20  # orders that one error names; who asks for no more at once hears of each
BYTES_FOR_AN_ORDER = 48  # of a message: what the least that asks for an order takes
BARE_PING = "ping"  # not JSON: for clients and proxies that know only this
BARE_PONG = "pong"
INTERNAL_ERROR = "internal error, reconnect"
AUTHENTICATION_UNAVAILABLE = "authentication unavailable, retry"


class Close(IntEnum):
    """Why a socket is closed: the WebSocket close code, what it means, and what the client does next."""

    meaning: str
    client: str

    def __new__(cls, code: int, meaning: str, client: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning, member.client = meaning, client
        return member

    NO_CREDENTIALS = 4001, "no credentials", "stop"
    FORBIDDEN = 4003, "bad credentials, or not yours, or no such order", "stop"
    TOKEN_EXPIRED = 4005, "token expired", "refresh, reconnect"
    TOO_SLOW = 4008, "too slow", "reconnect"
    TOO_MANY = 4009, "too many connections or subscriptions", "retry later"
    DRAINING = 4010, "draining", "reconnect, spread over within_ms"
    NO_HEARTBEAT = 4012, "no heartbeat", "reconnect"
    BAD_MESSAGE = 4400, "malformed message", "stop"
    INTERNAL = 1011, "internal error", "reconnect"


class BadFrame(Exception):
    """A client's frame is malformed. The text says what was wrong and what would be right."""

    def __init__(self, message: str, code: Close = Close.BAD_MESSAGE) -> None:
        super().__init__(message)
        self.code = code


class _Incoming(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Ref = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="32 lower-case hex characters")]
Token = Annotated[str, Field(min_length=1, max_length=8_192)]


class Wanted(_Incoming):
    """One order to watch, from the version that the client holds. Without `epoch` and `version`: a snapshot."""

    order: Ref
    epoch: Annotated[str, Field(max_length=64)] | None = None
    version: Annotated[int, Field(ge=0, le=MAX_VERSION)] | None = None
    grant: Token | None = None


WantedList = Annotated[list[Wanted], Field(max_length=MAX_SUBSCRIPTIONS)]


class Hello(_Incoming):
    type: Literal["hello"]
    token: Token | None = None
    subscribe: WantedList = []


class Subscribe(_Incoming):
    type: Literal["subscribe"]
    subscribe: WantedList


class Unsubscribe(_Incoming):
    type: Literal["unsubscribe"]
    orders: Annotated[list[Ref], Field(max_length=MAX_SUBSCRIPTIONS)]


class Refresh(_Incoming):
    """A new token, before the old one runs out."""

    type: Literal["refresh"]
    token: Token


class ClientPing(_Incoming):
    """Also the answer to the server's `ping`. It is not answered: the bare text `ping` is."""

    type: Literal["ping"]


ClientFrame = Hello | Subscribe | Unsubscribe | Refresh | ClientPing
_client_frame: TypeAdapter[ClientFrame] = TypeAdapter(
    Annotated[ClientFrame, Field(discriminator="type")]
)
_MEANT = {
    "union_tag_invalid": "the type must be hello, subscribe, unsubscribe, refresh or ping",
    "union_tag_not_found": 'a frame has a type, for example {"type":"ping"}',
    "model_attributes_type": 'a frame is a JSON object, for example {"type":"ping"}',
    "dict_type": 'a frame is a JSON object, for example {"type":"ping"}',
    "extra_forbidden": "the protocol orders.v1 does not know this field",
    "string_pattern_mismatch": "an order is 32 lower-case hex characters",
}


def parse_client_frame(text: str) -> ClientFrame:
    """The client's frame. Raises `BadFrame`, whose text may be shown to the client."""
    if len(text) > MAX_FRAME_BYTES or len(text.encode()) > MAX_FRAME_BYTES:
        raise BadFrame(f"a frame may have {MAX_FRAME_BYTES} bytes, split what you ask for")
    try:
        return _client_frame.validate_json(text)
    except ValidationError as wrong:
        raise _bad_frame(wrong) from None


def _bad_frame(wrong: ValidationError) -> BadFrame:
    error = wrong.errors(include_url=False)[0]
    kind = error["type"]
    if kind == "too_long":
        return BadFrame(f"at most {MAX_SUBSCRIPTIONS} orders on one socket", Close.TOO_MANY)
    if kind == "json_invalid":
        return BadFrame(f"not JSON: {error['ctx']['error']}")
    # The first step is the frame's type, which says nothing about where.
    where = ".".join(str(step) for step in error["loc"][1:])
    what = _MEANT.get(kind, error["msg"])
    got = "" if kind == "missing" else f" (it is {repr(error['input'])[:60]})"
    return BadFrame(f"{where}: {what}{got}" if where else f"{what}{got}")


class _Outgoing(BaseModel):
    model_config = ConfigDict(frozen=True)

    def encode(self) -> str:
        return self.model_dump_json(exclude_none=True)


class Welcome(_Outgoing):
    """The first frame. A client that has once sent a ping is closed (4012) when it is silent for `silence_ms`."""

    type: Literal["welcome"] = "welcome"
    protocol: Literal["orders.v1"] = SUBPROTOCOL
    heartbeat_ms: int
    silence_ms: int
    max_subscriptions: int = MAX_SUBSCRIPTIONS
    max_frame_bytes: int = MAX_FRAME_BYTES


class EventFrame(_Outgoing):
    """One event. `data` holds absolute values after the fact, so seeing it twice is harmless."""

    type: Literal["event"] = "event"
    order: Ref
    epoch: str
    version: int
    id: str
    event: str
    state: str
    data: dict[str, Any]
    at: datetime


class Synced(_Outgoing):
    """Where the client stands now. `current`: nothing was missed. `tail`: `events` are what was missed.
    `snapshot`: forget what you hold; `state` and `data` are the order at `version`."""

    type: Literal["synced"] = "synced"
    order: Ref
    epoch: str
    version: int
    mode: Literal["current", "tail", "snapshot"]
    state: str | None = None
    data: dict[str, Any] | None = None
    events: list[EventFrame] | None = None


class Error(_Outgoing):
    """What was wrong. With `order` it concerns that order only, with `orders` those and, where `count` says that they
    are more, others of the same message; without either, the socket is closed with `code` next."""

    type: Literal["error"] = "error"
    code: int
    message: str
    order: Ref | None = None
    orders: Annotated[list[Ref], Field(max_length=NAMED_REFUSALS)] | None = None
    count: int | None = None


def refusal(code: Close, refs: Sequence[str]) -> Error:
    """One answer to many requests, or to one."""
    if len(refs) == 1:
        return Error(code=code, message=code.meaning, order=refs[0])
    named = list(refs[:NAMED_REFUSALS])
    return Error(code=code, message=code.meaning, orders=named, count=len(refs))


class Draining(_Outgoing):
    """This process goes away: connect anew at a random moment within `within_ms`."""

    type: Literal["draining"] = "draining"
    within_ms: int


class ServerPing(_Outgoing):
    """A sign of life; a client that wants the server to notice its silence answers with its own ping."""

    type: Literal["ping"] = "ping"


def encode_event(record: EventRecord) -> str:
    """The one place where an event's frame is made: an `EventFrame` as compact JSON, without building the model."""
    return to_json(
        {
            "type": "event",
            "order": record.order,
            "epoch": record.epoch,
            "version": record.version,
            "id": record.id,
            "event": record.type,
            "state": record.state,
            "data": record.public_data,
            "at": record.at,
        }
    ).decode()


def encode_tail(order: str, epoch: str, version: int, events: list[str]) -> str:
    """A `Synced` frame from event frames that are already encoded."""
    mode = "tail" if events else "current"
    head = (
        f'{{"type":"synced","order":"{order}","epoch":"{epoch}","version":{version},"mode":"{mode}"'
    )
    return f'{head},"events":[{",".join(events)}]}}' if events else f"{head}}}"
