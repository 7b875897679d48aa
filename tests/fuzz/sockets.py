"""Frames against the WebSocket: what hypothesis thinks of, and a corpus of nasty ones.

Each socket is told a handful, then asked whether it still lives. It must either answer the ping, or have closed with a
code of the protocol and, before it, an error that says why.
"""

import asyncio
import json
import random
import string
from collections.abc import Callable
from itertools import cycle
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, WebSocketException

from tests.fuzz.tally import Tally
from tests.fuzz.target import TOKEN, Target

Frame = str | bytes | list[str | bytes]

# The protocol's own, and what a WebSocket library closes with by itself (RFC 6455, 7.4.1).
CODES = {4001, 4003, 4005, 4008, 4009, 4010, 4012, 4400, 1002, 1003, 1007, 1009}
OF_THE_LIBRARY = {1002, 1003, 1007, 1009}
AT_ONCE = 8  # sockets
_in_turn = cycle(
    (False, True)
)  # whether it is a guest, to whom most of the orders are other people's

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    ),
    max_leaves=12,
)
kinds = st.sampled_from(["hello", "subscribe", "unsubscribe", "refresh", "ping", "", "nonsense"])
refs = st.text(string.hexdigits, min_size=30, max_size=34) | st.text(max_size=40)
wishes = st.fixed_dictionaries(
    {"order": refs | json_values},
    optional={"epoch": json_values, "version": json_values | st.integers(), "grant": json_values},
)
shaped = st.fixed_dictionaries(
    {"type": kinds},
    optional={
        "token": st.text(max_size=50) | json_values,
        "subscribe": st.lists(wishes, max_size=5) | json_values,
        "orders": st.lists(refs, max_size=5) | json_values,
        "extra": json_values,
    },
)
frames = st.one_of(
    shaped.map(json.dumps),
    json_values.map(json.dumps),
    st.text(max_size=200),
    st.binary(max_size=200),
)


def corpus(known: list[str], rng: random.Random) -> list[Frame]:
    """Frames that somebody would send on purpose."""
    ref, stranger = rng.choice(known), "".join(rng.choices("0123456789abcdef", k=32))

    def subscribe(**wish: Any) -> str:
        return json.dumps({"type": "subscribe", "subscribe": [wish]})

    many = [{"order": "".join(rng.choices("0123456789abcdef", k=32))} for _ in range(900)]
    return [
        "ping",
        '{"type":"ping"}',
        '{"type":"unsubscribe","orders":[]}',
        subscribe(order=stranger),
        subscribe(order=ref, epoch="another", version=3),
        subscribe(order=ref, version=2**53 - 1),
        subscribe(order=ref, version=0),
        subscribe(order=ref, grant="a.b.c"),
        subscribe(order=ref, version=2**70),
        subscribe(order=ref, version=-1),
        subscribe(order=ref, version=True),
        subscribe(order=ref, version=1e400),
        subscribe(order=ref.upper()),
        subscribe(order=ref + "\u0000"),
        subscribe(order=ref, epoch="\ud800"),
        json.dumps({"type": "subscribe", "subscribe": many}),
        json.dumps({"type": "subscribe", "subscribe": many * 12}),  # 10,800 orders
        json.dumps({"type": "unsubscribe", "orders": [stranger] * 900}),
        json.dumps({"type": "refresh", "token": "x" * 8_000}),
        '{"type":"refresh","token":"eyJhbGciOiJub25lIn0.e30."}',
        '{"type":"hello"}',
        '{"type":"hello","token":"\\u0000"}',
        "[" * 10_000,
        '{"a":' * 10_000,
        "[" * 200 + "]" * 200,
        "9" * 10_000,
        '{"type":"ping","type":"hello"}',
        "NaN",
        "",
        " " * 60_000,
        "x" * 65_536,
        "x" * 65_537,
        "x" * 2**20,
        b"\x00" * 2**20,
        b"\xff\xfe",
        ["{", '"type"', ":", '"ping"', "}"],  # one message in five pieces
        ["\u00e9"] * 50,
    ]


def run(target: Target, tally: Tally, count: int, seed: int) -> None:
    """Send at least `count` frames."""
    rng = random.Random(seed)
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(_several(target, tally, [[f] for f in corpus(target.refs, rng)]))
        size = 60
        for strategy, share in ((frames, 0.1), (None, 0.9)):
            upto = tally.frames + count * share
            while tally.frames < upto:
                told = (
                    _by_hypothesis(strategy, size)
                    if strategy is not None
                    else _by_hand(target, rng, size)
                )
                loop.run_until_complete(_several(target, tally, told))
    finally:
        loop.close()


def _by_hand(target: Target, rng: random.Random, size: int) -> list[list[Frame]]:
    """Mostly frames that a socket survives, so that what comes later is heard as well, and then anything."""
    told = []
    for _ in range(AT_ONCE):
        known = corpus(target.refs, rng)
        told.append(
            [*rng.choices(known[:8], k=size), *(_mutated(rng.choice(known), rng) for _ in range(4))]
        )
    return told


def _mutated(frame: Frame, rng: random.Random) -> Frame:
    if isinstance(frame, list) or not frame or rng.random() < 0.3:
        return frame
    at = rng.randrange(len(frame))
    if isinstance(frame, bytes):
        return frame[:at] + rng.randbytes(1) + frame[at + 1 :]
    return (
        frame[:at]
        + chr(rng.choice((0, 34, 92, 123, 125, 0x20AC, rng.randrange(32, 127))))
        + frame[at + 1 :]
    )


def _by_hypothesis(strategy: st.SearchStrategy[Any], size: int) -> list[list[Frame]]:
    made: list[list[Frame]] = []

    @settings(
        max_examples=AT_ONCE * 4,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(strategy, min_size=1, max_size=size))
    def collect(told: list[Frame]) -> None:
        made.append(told)

    collect()
    return made


async def _several(target: Target, tally: Tally, told: list[list[Frame]]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(several: list[Frame]) -> None:
        async with gate:
            await _tell(target, tally, several)

    await asyncio.gather(*(one(several) for several in told))


async def _tell(target: Target, tally: Tally, told: list[Frame]) -> None:
    address = f"{target.url.replace('http', 'ws', 1)}/ws/orders/"
    is_guest = next(_in_turn)
    headers = {"Authorization": f"Bearer {target.grant if is_guest else TOKEN}"}
    said: list[str] = []
    try:
        async with connect(
            address,
            additional_headers=headers,
            proxy=None,
            max_size=None,
            ping_interval=None,
            compression=None,
        ) as socket:
            reading = asyncio.create_task(_read(socket, said.append))
            try:
                for frame in told:
                    tally.frames += 1
                    await _send(socket, frame)
                await socket.send("ping")
            except ConnectionClosed:
                pass
            await asyncio.wait_for(reading, 30)
    except ConnectionClosed:
        pass
    except TimeoutError:
        tally.blame("crashes", f"neither an answer nor a close after {_brief(told)}")
        return
    except (OSError, WebSocketException) as error:
        tally.blame("crashes", f"{error!r} after {_brief(told)}")
        return
    _judge(tally, told, said, socket.close_code)
    if is_guest and any(ref in each for ref in target.refs[1:] for each in said if _shows(each)):
        tally.blame("crashes", f"a guest was shown an order of somebody else after {_brief(told)}")


async def _send(socket: ClientConnection, frame: Frame) -> None:
    if isinstance(frame, str):
        # As bytes: what is no UTF-8 goes out as it is.
        await socket.send(frame.encode("utf-8", "surrogatepass"), text=True)
    else:
        await socket.send(frame)


async def _read(socket: ClientConnection, keep: Callable[[str], None]) -> None:
    """Until the answer to the last ping, or the close. Pings that were told are answered as well: count them."""
    async for message in socket:
        keep(str(message)[:300])
        if message == "pong":
            # More may come: whoever closes after a pong has said why by then.
            try:
                while True:
                    keep(str(await asyncio.wait_for(socket.recv(), 0.15))[:300])
            except TimeoutError:
                return


def _judge(tally: Tally, told: list[Frame], said: list[str], code: int | None) -> None:
    if code in {None, 1000, 1001} or "pong" in said[-1:]:
        return
    if code not in CODES:
        tally.blame("undocumented", f"close {code} and {said[-2:]} after {_brief(told)}")
    elif code not in OF_THE_LIBRARY and not any('"type":"error"' in each for each in said):
        tally.blame("undocumented", f"close {code} without a word before it, after {_brief(told)}")


def _shows(frame: str) -> bool:
    return '"type":"synced"' in frame or '"type":"event"' in frame


def _brief(told: list[Frame]) -> str:
    last = " · ".join(repr(frame)[:80] for frame in told[-3:])
    return f"{len(told)} frames, of up to {max(map(len, told), default=0)} bytes: … {last}"
