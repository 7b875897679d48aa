"""A demo that other machines can reach: under which names, and with which secrets."""

import json
import os
import secrets
import socket
from base64 import b64encode
from contextlib import suppress
from pathlib import Path

EVERY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 — compared, not bound


def secrets_file(data: Path) -> Path:
    return data.absolute() / "secrets.json"


def secrets_of(data: Path) -> dict[str, str]:
    """Secrets that nobody can guess, of this data folder alone: made at the first start, and kept in it."""
    path = secrets_file(data)
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = {
            "ORDERCAST_SECRET_KEY": secrets.token_urlsafe(48),
            "ORDERCAST_SERVICE_TOKEN": secrets.token_hex(24),
            "ORDERCAST_HOUSE_KEY": secrets.token_hex(24),
            "ORDERCAST_HOUSE_WEBHOOK_SECRETS": f"whsec_{b64encode(secrets.token_bytes(32)).decode()}",
            "ORDERCAST_DEMO_PASSWORD": secrets.token_hex(6),
        }
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(made, file)
    found: dict[str, str] = json.loads(path.read_text())
    return found


def names_of_this_machine(host: str) -> list[str]:
    """What others may call it, as a URL writes it: the address that its packets leave by comes first."""
    if host not in EVERY_ADDRESS:
        return [_in_url(host)]
    found = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing; an address of nobody (RFC 5737)
        found.append(probe.getsockname()[0])
    name = socket.gethostname()
    with suppress(OSError):
        found += [str(each[4][0]) for each in socket.getaddrinfo(name, None)]
    return list(dict.fromkeys(_in_url(each) for each in [*found, name]))


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
