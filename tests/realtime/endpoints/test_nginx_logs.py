"""What the nginx of `docs/nginx.conf` writes of a request that fails: its address, and no secret that stands in it."""

from pathlib import Path

import httpx
import pytest

from tests.ports import free_port
from tests.realtime.nginx import nginx

SECRET = "a-grant-that-nobody-should-read"
ORDER = f"/orders/{'0' * 32}/"


@pytest.mark.parametrize("name", ["grant", "return_code", "token"])
def test_what_fails_while_the_server_is_away_is_logged_without_query_and_referrer(
    tmp_path: Path, name: str
) -> None:
    with nginx(tmp_path, free_port(), free_port()) as port:
        url = f"http://127.0.0.1:{port}{ORDER}?{name}={SECRET}"
        status = httpx.get(url, headers={"Referer": url}, trust_env=False).status_code

    logs = "".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert status == 502
    assert ORDER in logs
    assert SECRET not in logs
