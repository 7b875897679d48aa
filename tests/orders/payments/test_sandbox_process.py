"""The sandbox as a process: its start, its options, its memory."""

import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.orders.payments.paying import create, states
from tests.orders.payments.receiver import Receiver
from tests.sandbox import KEY, ROOT, SECRET, SandboxDidNotStart, start_sandbox
from tests.sandbox import sandbox as running_sandbox
from tests.waiting import eventually


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_payments_and_open_callbacks_survive_the_process(
    callbacks: Receiver, how: signal.Signals
) -> None:
    callbacks.answer = lambda _came: 503
    with running_sandbox(time_scale=0.05) as sandbox:
        payment = create(sandbox, callbacks)
        sandbox.act(payment["provider_ref"], "pay")
        callbacks.wait_for(1)

        exit_code = sandbox.stop(how)
        callbacks.answer = lambda _came: 200
        sandbox.restart()

        eventually(lambda: states(sandbox, payment) == ["delivered"])
        kept = sandbox.client.get(f"/v1/payments/{payment['provider_ref']}").json()
        assert exit_code == (0 if how is signal.SIGTERM else -signal.SIGKILL)
        assert (kept["status"], kept["captured"]) == ("captured", 1250)


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SandboxDidNotStart) as wrong:
            start_sandbox(port=port)

    assert (
        str(wrong.value) == f"sandbox: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("data", "/proc/nowhere/x.sqlite3", "cannot use /proc/nowhere/x.sqlite3"),
        ("data", "/", "cannot use /"),
        ("data", str(ROOT / "pyproject.toml"), "not a database"),
        ("webhook_secret", "whsec_ä", "must be base64"),
        ("public_url", "ftp://x", "must begin with http"),
        ("time_scale", 0, "must be more than 0"),
        ("port", 99999, "cannot listen on"),
    ],
)
def test_a_bad_option_is_one_clear_line(
    option: str, value: str | None, said: str, tmp_path: Path
) -> None:
    options = {"data": tmp_path / "sandbox.sqlite3", option: value}

    with pytest.raises(SandboxDidNotStart) as wrong:
        start_sandbox(**options)

    assert said in str(wrong.value)
    assert str(wrong.value).count("\n") == 1


def test_options_can_come_from_the_environment(tmp_path: Path) -> None:
    environment = {"SANDBOX_KEY": KEY, "SANDBOX_WEBHOOK_SECRET": SECRET, "SANDBOX_PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "orders.payments.sandbox", "--data", str(tmp_path / "x" / "y.sqlite3")],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        ready = process.stdout.readline()
        process.terminate()

    assert re.fullmatch(r"sandbox ready on http://127\.0\.0\.1:\d+\n", ready)
    assert process.returncode == 0


def test_the_sandbox_knows_no_django() -> None:
    code = "import sys, orders.payments.sandbox.__main__; sys.exit('django' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("[::1]:8100", 200),
        ("localhost:8100", 200),
        ("pay.test", 200),
        ("Shop.Test:1", 200),
        ("rebound.example", 400),
        ("", 400),
        ("[bad", 400),
    ],
)
def test_only_addresses_and_named_hosts_are_answered(host: str, status: int) -> None:
    with running_sandbox(public_url="http://pay.test:8100", names="shop.test") as sandbox:
        answer = sandbox.client.get("/", headers={"Host": host})

    assert answer.status_code == status


def test_the_console_asks_for_its_password_and_the_checkout_does_not(callbacks: Receiver) -> None:
    with running_sandbox(console_password="hush-hush") as sandbox:
        payment = create(sandbox, callbacks)
        sandbox.client.headers.pop("Authorization")
        checkout = f"/checkout/{payment['provider_ref']}"

        def asked(path: str, user: str = "", password: str = "") -> int:
            return sandbox.client.get(path, auth=(user, password)).status_code

        assert asked("/") == asked("/", "demo", "wrong") == asked("/", "else", "hush-hush") == 401
        assert asked("/", "demo", "hush-hush") == asked(checkout) == 200
        assert sandbox.client.post("/faults").status_code == 401
        act = f"/payments/{payment['provider_ref']}/act"
        assert sandbox.client.post(act, data={"action": "pay"}).status_code == 401
