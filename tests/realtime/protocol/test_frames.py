"""A frame that is encoded once for all sockets is what the server would have sent each of them."""

import pytest
from websockets.frames import Frame as Serialised
from websockets.frames import Opcode

from realtime.protocol.frames import WEBSOCKET, Frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_a_whole_frame_is_what_websockets_would_serialise(size: int) -> None:
    frame = Frame("event", "é" * (size // 2) + "x" * (size % 2))
    assert WEBSOCKET.whole is not None

    written = WEBSOCKET.whole(frame)

    assert written == Serialised(Opcode.TEXT, frame.text.encode()).serialize(mask=False)
