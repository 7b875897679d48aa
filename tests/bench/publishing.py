"""How the events of a bench get to the servers: byte for byte what `group_send` and Socket.IO's emitter send to Valkey.

They themselves send one message at a time, some thousands a second. A server that fans out faster would wait for its
publisher, and that would be what is measured.
"""

import os
import socket
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgpack  # type: ignore[import-untyped]
import redis
from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer

from tests.bench.sockets import LoadError

Message = tuple[str, bytes]  # channel, body


class Publisher:
    """PUBLISHes many messages at once. Raises `LoadError` where one had no subscriber."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(os.environ["VALKEY_URL"].removeprefix("unix://"))

    def send(self, messages: Iterable[Message]) -> None:
        self._drain()
        self._socket.sendall(
            b"".join(
                b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n"
                % (len(channel), channel.encode(), len(body), body)
                for channel, body in messages
            )
        )

    def _drain(self) -> None:
        try:
            answers = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if b":0\r" in answers or b"-" in answers:
            raise LoadError(f"an event had no listener: {answers[:80]!r}")

    def close(self) -> None:
        self._socket.close()


def wait_for_subscribers(channels: Sequence[str], patience: float = 30.0) -> None:
    """Until somebody listens to each of the channels."""
    deadline = time.monotonic() + patience
    with redis.Redis.from_url(os.environ["VALKEY_URL"]) as client:
        while any(count == 0 for _, count in client.pubsub_numsub(*channels)):
            if time.monotonic() > deadline:
                raise LoadError(f"not all of {len(channels)} channels had a subscriber in time")
            time.sleep(0.05)


class ChannelLayer:
    """What Django's pub/sub channel layer sends to a group."""

    def __init__(self, prefix: str) -> None:
        hosts = [os.environ["VALKEY_URL"]]
        self._layer = RedisPubSubChannelLayer(hosts=hosts, prefix=prefix)
        self._names = RedisPubSubLoopLayer(hosts=hosts, prefix=prefix, channel_layer=self._layer)

    def message(self, group: str, message: dict[str, Any]) -> Message:
        return self._names._get_group_channel_name(group), self._layer.serialize(message)


def socketio_message(room: str, event: dict[str, Any]) -> Message:
    """What Socket.IO's Redis emitter sends to a room (@socket.io/redis-emitter): sender, packet, options."""
    packet = {"type": 2, "data": ["event", event], "nsp": "/"}
    options: dict[str, Any] = {"rooms": [room], "flags": {}, "except": []}
    return f"socket.io#/#{room}#", msgpack.packb(["emitter", packet, options])
