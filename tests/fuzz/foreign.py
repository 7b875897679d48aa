"""Pages of sites that nobody named, of other ports and of other schemes, at everything that is live."""

import httpx

from tests.fuzz.bombs import HANDSHAKE
from tests.fuzz.tally import Tally
from tests.fuzz.target import TOKEN, Target


def run(target: Target, tally: Tally, rounds: int) -> None:
    """`rounds` times from each origin."""
    host, port = target.address
    origins = [
        "null",
        "https://evil.example",
        f"https://{host}:{port}",
        f"http://{host}:{port + 1}",
        f"http://{host}",
        f"http://{host}:{port}.evil.example",
        f"http://{host}:{port}/",
        "file://",
        "a" * 5_000,
    ]
    with httpx.Client(base_url=target.url, timeout=30, trust_env=False) as client:
        for _ in range(rounds):
            for origin in origins:
                _ask(client, target, tally, origin)


def _ask(client: httpx.Client, target: Target, tally: Tally, origin: str) -> None:
    where = f"/api/orders/{target.refs[0]}"
    asks = {"Access-Control-Request-Method": "GET", "Origin": origin}
    bearer = {"Authorization": f"Bearer {TOKEN}", "Origin": origin}
    head = HANDSHAKE.format(query=f"token={TOKEN}", host=target.url[7:], origin=origin)
    shaken = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
    expected = [
        ("OPTIONS", where, asks, {403}),
        ("GET", where, bearer, {200}),
        ("GET", "/board/stream", {"Origin": origin, "Cookie": "sessionid=x"}, {401}),
        ("GET", f"/ws/orders/?token={TOKEN}", shaken, {403}),
    ]
    for method, path, headers, statuses in expected:
        tally.requests += 1
        try:
            answer = client.request(method, path, headers=headers)
        except httpx.HTTPError as error:
            tally.blame("crashes", f"{method} {path[:30]} from {origin[:30]}: {error!r}")
            continue
        if answer.status_code >= 500:
            tally.blame("server_errors", f"{method} {path[:30]}: {answer.status_code}")
        elif answer.status_code not in statuses:
            said = f"{method} {path[:30]} from {origin[:30]}: {answer.status_code}"
            tally.blame("undocumented", said)
        if "access-control-allow-origin" in answer.headers:
            tally.blame("crashes", f"{method} {path[:30]} may be read by {origin[:30]}")
