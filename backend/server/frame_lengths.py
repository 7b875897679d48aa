"""Lengths of frames as RFC 6455 (5.2) wants them: in the fewest bytes. websockets takes the longer ones too."""

from collections.abc import Generator
from enum import Enum

from websockets.exceptions import ProtocolError
from websockets.streams import StreamReader


class _Next(Enum):
    """What a client's frame goes on with: two bytes, a longer length if they say so, the mask, the payload."""

    START = "start"
    LENGTH = "length"
    MASK = "mask"
    PAYLOAD = "payload"


_AFTER = {
    _Next.LENGTH: _Next.MASK,
    _Next.MASK: _Next.PAYLOAD,
    _Next.PAYLOAD: _Next.START,
}
_LEAST = {2: 126, 8: 65_536}  # what a length of so many bytes is for


class MinimalLengths(StreamReader):
    """The bytes of a connection, for `websockets.frames.Frame.parse`, which reads a frame part by part."""

    def __init__(self) -> None:
        super().__init__()
        self._next = _Next.START

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        data = yield from super().read_exact(n)
        if self._next is _Next.START:
            is_longer = data[1] & 0x7F >= 126
            self._next = _Next.LENGTH if is_longer else _Next.MASK
            return data
        if self._next is _Next.LENGTH and int.from_bytes(data) < _LEAST[n]:
            raise ProtocolError("the length of a frame is not in the fewest bytes")
        self._next = _AFTER[self._next]
        return data
