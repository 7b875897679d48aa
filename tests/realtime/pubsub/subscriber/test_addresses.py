"""What an address of Valkey can say, the subscriber does: user, password, database, TLS."""

import ssl
from pathlib import Path

import pytest
import redis

from backend.up.child import Server
from realtime.pubsub.subscriber import Subscriber
from tests.realtime.pubsub.subscriber.certificates import for_localhost
from tests.realtime.pubsub.subscriber.listening import listening
from tests.realtime.pubsub.subscriber.relay import relay


async def test_user_password_and_database_of_the_address_are_used(
    own_valkey: Server, own_port: int
) -> None:
    with redis.Redis(port=own_port) as client:
        client.acl_setuser(
            "ears", enabled=True, passwords=["+s3cret"], categories=["+@all"], channels=["*"]
        )
        url = f"redis://ears:s3cret@127.0.0.1:{own_port}/3"
        async with listening(url, b"c") as heard:
            [mine] = client.client_list(_type="pubsub")
            client.publish(b"c", b"heard")
            await heard.until(lambda h: h.messages)

    assert (mine["user"], mine["db"], mine["resp"]) == ("ears", "3", "2")


async def test_a_password_that_is_refused_is_tried_again_until_it_is_right(
    own_valkey: Server, own_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(f"redis://ears:s3cret@127.0.0.1:{own_port}/0") as heard:
        heard.subscriber.join(b"c")
        await heard.until(lambda _: "not connected to Valkey pub/sub" in caplog.text)
        with redis.Redis(port=own_port) as client:
            client.acl_setuser(
                "ears", enabled=True, passwords=["+s3cret"], categories=["+@all"], channels=["*"]
            )
        await heard.until_joined(b"c")

    assert "s3cret" not in caplog.text


async def test_it_speaks_tls_and_believes_no_stranger(
    valkey: "redis.Redis", port: int, tmp_path: Path
) -> None:
    authority, server_side = for_localhost(tmp_path)
    async with relay(port, tls=server_side) as between:
        url = f"rediss://localhost:{between.port}/0"
        async with listening(url, b"c", ssl_ca_certs=str(authority)) as heard:
            valkey.publish(b"c", b"x" * 100_000)
            await heard.until(lambda h: h.messages == [(b"c", b"x" * 100_000)])

        stranger = Subscriber(
            {"address": url}, on_message=lambda *_: None, on_joined=lambda *_, **__: None
        )
        with pytest.raises((redis.RedisError, ssl.SSLError)):
            await stranger._connect()
