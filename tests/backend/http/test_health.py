"""What anybody is told of a process's health, and what only its operator is; and what asking costs."""

import threading
from typing import Any

import httpx
import pytest
from django.test import Client
from pytest_django import Settings

from backend.http import health
from orders import access
from tests.builders import an_order
from tests.people import SERVICE
from tests.realtime.serving import ServerProcess
from tests.skew import skewed
from tests.waiting import eventually

FAR = "192.0.2.44"
NOBODY_LISTENS = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def nothing_found_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_parts", health._Parts(health._find))


def asked(address: str = FAR, **headers: str) -> Any:
    return Client(REMOTE_ADDR=address).get("/health/ready", headers=headers)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.usefixtures("database", "valkey")
class TestWhoIsTold:
    def test_anybody_is_told_whether_it_is_ready_and_no_more(self) -> None:
        answer = asked()

        assert (answer.status_code, answer.json()) == (200, {"is_ready": True})

    def test_an_error_of_the_database_is_not_for_anybody(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(health, "_database", lambda: "away: password of 'ordercast' is wrong")

        answer = asked()

        assert (answer.status_code, answer.json()) == (503, {"is_ready": False})
        assert "password" in asked("127.0.0.1").json()["database"]

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"])
    def test_whoever_asks_from_this_machine_is_told_all(self, address: str) -> None:
        assert asked(address).json() == {
            "database": "ok", "valkey": "ok", "clock": "ok", "hub": None
        }  # fmt: skip

    @pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
    def test_a_proxy_on_this_machine_speaks_for_somebody_else(self, header: str) -> None:
        assert asked("127.0.0.1", **{header: "127.0.0.1"}).json() == {"is_ready": True}

    def test_a_service_token_is_told_all(self) -> None:
        issued = access.issue_service_token("probe", ["orders:read"])

        assert asked(**bearer(SERVICE)).json()["valkey"] == "ok"
        assert asked(**bearer(issued)).json()["valkey"] == "ok"

    def test_no_other_token_is(self) -> None:
        grant = access.issue_grant([an_order().ref])

        for token in (grant, "nonsense", f"{SERVICE}x"):
            assert asked(**bearer(token)).json() == {"is_ready": True}


@pytest.mark.usefixtures("database", "valkey")
def test_asking_often_opens_no_more_connections(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FRESH", -1.0)  # so that each asks
    asked()
    kept = health._client(settings.VALKEY_URL)
    first = kept.client_id()

    for _ in range(20):
        assert asked("127.0.0.1").json()["valkey"] == "ok"

    assert health._client(settings.VALKEY_URL) is kept
    assert kept.client_id() == first


@pytest.mark.usefixtures("database", "valkey")
def test_what_was_found_serves_for_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    found = health._Found("ok", "ok")
    parts = health._Parts(lambda: looks.append(1) or found)  # type: ignore[func-returns-value]
    monkeypatch.setattr(health, "_parts", parts)
    monkeypatch.setattr(health, "FRESH", 600.0)

    for _ in range(20):
        asked()
    assert len(looks) == 1
    monkeypatch.setattr(health, "FRESH", -1.0)
    asked()
    assert len(looks) == 2


@pytest.mark.usefixtures("database")
def test_a_valkey_that_is_away_is_still_ready(settings: Settings) -> None:
    settings.VALKEY_URL = NOBODY_LISTENS

    answer = asked("127.0.0.1")

    assert answer.status_code == 200
    assert answer.json()["valkey"].startswith("away: ")


def test_a_silent_part_holds_up_one_who_asks_and_counts_as_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = threading.Event()
    answers.set()
    begun = threading.Event()

    def find() -> health._Found:
        begun.set()
        assert answers.wait(10)
        return health._Found("ok", "ok")

    parts = health._Parts(find)
    assert parts.look().database == "ok"
    monkeypatch.setattr(health, "FRESH", -1.0)
    answers.clear()
    begun.clear()
    waits = threading.Thread(target=parts.look)
    waits.start()
    assert begun.wait(10)

    assert parts.look().database == "ok"  # what was found before, and at once
    monkeypatch.setattr(health, "SILENT", 0.0)
    assert parts.look().database.startswith("away")
    answers.set()
    eventually(lambda: not waits.is_alive(), 10)
    monkeypatch.setattr(health, "FRESH", 60.0)
    assert parts.look().database == "ok"


@pytest.mark.stack
def test_a_web_process_whose_clock_is_wrong_says_so_and_is_ready(
    child_environment: dict[str, str],
) -> None:
    server = ServerProcess(skewed(child_environment, 20))
    try:
        server.wait()

        def clock() -> str:
            answer = httpx.get(f"{server.url}/health/ready", trust_env=False)
            assert answer.status_code == 200
            return str(answer.json()["clock"])

        eventually(lambda: clock().startswith("skew: +20"))
        assert "clock skew: this machine's clock is 20.0 s ahead" in server.output()
    finally:
        server.stop()
