"""The nginx of `docs/nginx.conf`, for tests: that very file, with ports and the place of its log changed."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from backend.up import child
from tests.optional import program
from tests.ports import free_port
from tests.waiting import eventually

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "nginx.conf"
# What Debian's own main file has around it, but for one process of ours that ends with us.
MAIN = """
daemon off; pid {folder}/pid; error_log {folder}/error.log warn; worker_processes 1;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    include {folder}/ordercast.conf;
}}
"""


def binary() -> str:
    return program("nginx", "nginx-light")


@contextmanager
def nginx(folder: Path, *upstreams: int) -> Iterator[int]:
    """Runs in front of two web processes; gives its port."""
    command, port = binary(), free_port()
    example = EXAMPLE.read_text()
    changes = {
        "127.0.0.1:8001": f"127.0.0.1:{upstreams[0]}",
        "127.0.0.1:8002": f"127.0.0.1:{upstreams[1]}",
        "listen 80;": f"listen 127.0.0.1:{port};",
        "/var/log/nginx/ordercast.log": f"{folder}/access.log",
        "/var/log/nginx/ordercast-error.log": f"{folder}/server-error.log",
    }
    for old, new in changes.items():
        assert example.count(old) == 1, old
        example = example.replace(old, new)
    (folder / "ordercast.conf").write_text(example)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    process = subprocess.Popen(
        [command, "-p", str(folder), "-e", f"{folder}/error.log", "-c", f"{folder}/nginx.conf"]
    )
    reaper = child.start_reaper(f"TERM:{process.pid}")

    def listens() -> bool:
        assert process.poll() is None, (folder / "error.log").read_text()
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        eventually(listens, 10)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        reaper.kill()
        reaper.wait()
