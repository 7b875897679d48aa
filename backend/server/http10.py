"""Answers to HTTP/1.0 clients, among them proxies whose configuration says nothing of a version."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


class Http10Cycle(RequestResponseCycle):
    """HTTP/1.0 knows no chunks (RFC 9112, 6.1): an answer without a length ends with its connection."""

    _ends_with_connection = False

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start" and not self.response_started:
            names = {name.lower() for name, _ in message.get("headers", ())}
            self._ends_with_connection = b"content-length" not in names
            if self._ends_with_connection:
                self.chunked_encoding = False  # None lets uvicorn choose, which chooses chunks
        elif self._ends_with_connection:
            # uvicorn holds what it writes against the length that was said; here each piece is one.
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)
