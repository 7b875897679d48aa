"""While the database is away nobody knows who may see what: pages are told to come back, and none to go away."""

import json
from collections.abc import Iterator
from functools import partial

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from orders import access
from tests.builders import at_once
from tests.people import UNKNOWN
from tests.realtime.serving import ServerProcess


@pytest.fixture
def web(child_environment: dict[str, str]) -> Iterator[ServerProcess]:
    nowhere = {**child_environment, "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
    started = ServerProcess(nowhere).wait()
    yield started
    started.stop()


def last_words(address: str, headers: dict[str, str]) -> tuple[int, int]:
    """The code of the error that came last, and of the close."""
    code = 0
    with connect(address, additional_headers=headers, proxy=None) as socket:
        try:
            while True:
                code = json.loads(socket.recv(40)).get("code", code)
        except ConnectionClosed as closed:
            return code, closed.rcvd.code if closed.rcvd else 0


def answer_of(address: str, headers: dict[str, str]) -> tuple[int, bool]:
    """The status, and whether it says when to come again."""
    answer = httpx.get(address, headers=headers, trust_env=False, timeout=20)
    return answer.status_code, "retry-after" in answer.headers


def test_a_socket_a_stream_and_the_api_are_asked_to_come_again(web: ServerProcess) -> None:
    shown = {"authorization": f"Bearer {access.issue_grant([UNKNOWN])}"}
    order = f"{web.url}/api/orders/{UNKNOWN}"

    found = at_once(  # each waits for a connection until its patience is over
        lambda: last_words(f"{web.url.replace('http', 'ws')}/ws/orders/{UNKNOWN}/", shown),
        *[partial(answer_of, order + path, shown) for path in ("", "/events", "/stream")],
    )

    assert found == [(1011, 1011), (503, True), (503, True), (503, True)]
