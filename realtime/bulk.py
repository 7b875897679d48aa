"""Joining and leaving many groups of the channel layer with one command.

The layer's own `group_add` is one SUBSCRIBE for each group, at 0.2 ms of a core: half a second when 2,000 pages come
back at once. For `channels_redis.pubsub` the same is done here for a batch, by its own parts; any other layer is asked
group by group.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

BATCH = 200  # groups in one command


async def add(layer: Any, groups: Sequence[str], channel: str) -> None:
    """Join the groups. Raises what the layer raises; doing it again is harmless."""
    inner = _pubsub(layer)
    if inner is None:
        for group in groups:
            await layer.group_add(group, channel)
        return
    for shard, names in _by_shard(inner, groups).items():
        for name in names:
            inner.groups.setdefault(name, set()).add(channel)
        async with shard._lock:  # noqa: SLF001 — as `subscribe` of the same class does
            new = [name for name in names if name not in shard._subscribed_to]  # noqa: SLF001
            if new:
                shard._ensure_redis()  # noqa: SLF001
                shard._ensure_receiver()  # noqa: SLF001
                await shard._pubsub.subscribe(*new)  # noqa: SLF001
                shard._subscribed_to.update(new)  # noqa: SLF001
    await asyncio.sleep(0)


async def discard(layer: Any, groups: Sequence[str], channel: str) -> None:
    """Leave the groups. Raises what the layer raises; doing it again is harmless."""
    inner = _pubsub(layer)
    if inner is None:
        for group in groups:
            await layer.group_discard(group, channel)
        return
    for shard, names in _by_shard(inner, groups).items():
        left = []
        for name in names:
            members = inner.groups.get(name, set())
            members.discard(channel)
            if not members:
                inner.groups.pop(name, None)
                left.append(name)
        async with shard._lock:  # noqa: SLF001 — as `unsubscribe` of the same class does
            old = [name for name in left if name in shard._subscribed_to]  # noqa: SLF001
            if old:
                shard._ensure_redis()  # noqa: SLF001
                shard._ensure_receiver()  # noqa: SLF001
                await shard._pubsub.unsubscribe(*old)  # noqa: SLF001
                shard._subscribed_to.difference_update(old)  # noqa: SLF001
    await asyncio.sleep(0)


def _pubsub(layer: Any) -> Any:
    """The event loop's own part of a pub/sub layer, if it is built as we know it."""
    inner = getattr(layer, "_get_layer", lambda: None)()
    shards = getattr(inner, "_shards", ())
    needed = ("_lock", "_subscribed_to", "_ensure_redis", "_ensure_receiver")
    is_known = shards and all(hasattr(shards[0], name) for name in needed)
    return inner if is_known else None


def _by_shard(inner: Any, groups: Sequence[str]) -> dict[Any, list[str]]:
    found: dict[Any, list[str]] = defaultdict(list)
    for group in groups:
        name = inner._get_group_channel_name(group)  # noqa: SLF001 — one place makes this name
        found[inner._get_shard(name)].append(name)  # noqa: SLF001
    return found
