"""What `manage.py up` was asked for. Read before Django, whose settings come from the environment that this makes."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from backend.config.paths import BASE_DIR
from backend.up import network

PARTS = ("web", "worker", "beat", "sandbox")

CELERY = ("-m", "celery", "-A", "backend", "--quiet", "--skip-checks")
WORKER = (
    *(*CELERY, "worker", "--pool", "threads", "--concurrency", "8", "-Q", "ordercast"),
    # Not only chatter: the heartbeat publishes in the loop that must notice a silent connection, and retries for ever.
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
BEAT = (*CELERY, "beat")

# Not read where `up` runs the demo. What libraries read by themselves counts too: libpq, uvicorn and Celery.
_FOR_OTHERS = {"DATABASE_URL", "VALKEY_URL", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"}
_FOR_OTHERS_PREFIXES = ("PG", "UVICORN_", "CELERY_")
left_out: list[str] = []  # names that were there


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address for web and sandbox")
    parser.add_argument("--port", type=int, default=8000, help="port of the web process")
    parser.add_argument("--sandbox-port", type=int, default=8100, help="port of the sandbox")
    parser.add_argument("--data", type=Path, help="data folder; .data by default")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="use this PostgreSQL instead of starting one [ORDERCAST_DATABASE_URL]",
    )
    parser.add_argument(
        "--valkey",
        metavar="URL",
        help="use this Valkey or Redis instead of starting one [ORDERCAST_VALKEY_URL]",
    )
    parser.add_argument(
        "--open-to-network",
        action="store_true",
        help="let other machines reach the demo, with secrets of its own; for --host",
    )
    parser.add_argument(
        "--without",
        type=_parts,
        default=(),
        metavar="PART,…",
        help=f"leave out some of {', '.join(PARTS)}",
    )


def prepare(arguments: Sequence[str]) -> None:
    """Put what `up` implies into the environment, for its own settings and its children's. Exits on bad arguments."""
    parser = argparse.ArgumentParser(prog="manage.py up", add_help=False)
    add_arguments(parser)
    options, _ = parser.parse_known_args(arguments)
    host = address(options.host)
    os.environ["DJANGO_SETTINGS_MODULE"] = "backend.settings"
    os.environ.setdefault("ORDERCAST_DEMO", "true")
    os.environ.setdefault("ORDERCAST_PUBLIC_URL", f"http://{host}:{options.port}")
    os.environ.setdefault("ORDERCAST_HOUSE_URL", f"http://{host}:{options.sandbox_port}")
    if options.data:
        os.environ["ORDERCAST_DATA"] = str(options.data.absolute())
    for name, url in (("DATABASE_URL", options.database), ("VALKEY_URL", options.valkey)):
        if url:
            os.environ[f"ORDERCAST_{name}"] = url
    if os.environ["ORDERCAST_DEMO"].lower() in ("true", "1", "yes", "on"):
        _leave_out_what_is_for_others()
        if not is_loopback(options.host):
            _open_to_network(options, parser)


def _leave_out_what_is_for_others() -> None:
    """Common names that a developer exports for another project: the demo would use, and change, what they name."""
    for name in list(os.environ):
        if name in _FOR_OTHERS or name.startswith(_FOR_OTHERS_PREFIXES):
            del os.environ[name]
            left_out.append(name)


def _open_to_network(options: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    if not options.open_to_network:
        parser.error(
            f"--host {options.host} lets other machines reach the demo, whose log-in, tokens and payment console "
            "are everybody's; add --open-to-network, which makes secrets of its own for it"
        )
    data = options.data or Path(os.environ.get("ORDERCAST_DATA") or BASE_DIR / ".data")
    for name, value in network.secrets_of(data).items():
        os.environ.setdefault(name, value)
    names = network.names_of_this_machine(options.host)
    if options.host in network.EVERY_ADDRESS and names:
        for name, port in (
            ("ORDERCAST_PUBLIC_URL", options.port),
            ("ORDERCAST_HOUSE_URL", options.sandbox_port),
        ):
            if f"//{address(options.host)}:" in os.environ[name]:
                os.environ[name] = f"http://{names[0]}:{port}"
    os.environ.setdefault(
        "ORDERCAST_HOSTS", ",".join(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", *names]))
    )


def is_loopback(host: str) -> bool:
    return host == "localhost" or host.startswith("127.") or host == "::1"


def address(host: str) -> str:
    """`host` as it stands in a URL that one can open."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104 — compared, not bound
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _parts(value: str) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in value.split(",") if part.strip())
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(
            f"there is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}"
        )
    return parts
