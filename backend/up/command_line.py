"""What `manage.py up` was asked for. Read before Django, whose settings come from the environment that this makes."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PARTS = ("web", "worker", "beat", "sandbox")

CELERY = ("-m", "celery", "-A", "backend", "--quiet", "--skip-checks")
WORKER = (
    *(*CELERY, "worker", "--pool", "threads", "--concurrency", "8", "-Q", "ordercast"),
    # Not only chatter: the heartbeat publishes in the loop that must notice a silent connection, and retries for ever.
    *("--without-gossip", "--without-mingle", "--without-heartbeat"),
)
BEAT = (*CELERY, "beat")
# What a web process speaks; tests start theirs with the same. A frame may have 64 KB
# (`realtime.protocol.messages`). Up to 1 MB it is refused in words; what is larger is thrown away as it
# comes: close 1009.
WIRE: dict[str, Any] = {
    "http": "backend.server.http_protocol:HttpProtocol",
    "ws": "backend.server.http_protocol:WebSocketProtocol",
    "ws_max_size": 1_048_576,
    "ws_per_message_deflate": False,
}


def wire_words() -> list[str]:
    """`WIRE` as words of uvicorn's command line."""
    return [
        word
        for name, value in WIRE.items()
        for word in (f"--{name.replace('_', '-')}", "false" if value is False else str(value))
    ]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address for web and sandbox")
    parser.add_argument("--port", type=int, default=8000, help="port of the web process")
    parser.add_argument("--sandbox-port", type=int, default=8100, help="port of the sandbox")
    parser.add_argument(
        "--data", type=Path, help="folder for everything that is kept; as a rule .data"
    )
    parser.add_argument(
        "--without",
        type=_parts,
        default=(),
        metavar="PART,…",
        help=f"leave out some of {', '.join(PARTS)}",
    )


def prepare(arguments: Sequence[str]) -> None:
    """Put what `up` implies into the environment, for its own settings and its children's."""
    parser = argparse.ArgumentParser(prog="manage.py up", add_help=False)
    add_arguments(parser)
    options, _ = parser.parse_known_args(arguments)
    host = address(options.host)
    os.environ.setdefault("ORDERCAST_DEMO", "true")
    os.environ.setdefault("ORDERCAST_PUBLIC_URL", f"http://{host}:{options.port}")
    os.environ.setdefault("ORDERCAST_HOUSE_URL", f"http://{host}:{options.sandbox_port}")
    if options.data:
        os.environ["ORDERCAST_DATA"] = str(options.data.absolute())
    if options.host not in ("127.0.0.1", "localhost", "::1"):
        os.environ.setdefault("ORDERCAST_HOSTS", f"localhost,127.0.0.1,[::1],{host}")


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
