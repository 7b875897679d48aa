"""What is answered before there is a request that any application could answer."""

from dataclasses import dataclass
from http import HTTPStatus

from orders.api import problems


@dataclass(frozen=True)
class Refusal:
    """As problem+json, like all that programs are refused with; the path may not have been read."""

    status: int
    code: str
    detail: str

    def encoded(self) -> bytes:
        body = problems.encode(self.status, self.code, self.detail, "")
        lines = (
            f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}",
            f"content-type: {problems.CONTENT_TYPE}",
            f"content-length: {len(body)}",
            "connection: close",
        )
        return "\r\n".join([*lines, "", ""]).encode() + body


TOO_LARGE = Refusal(
    431, "head_too_large", "The head, or what surrounds the chunks of the body, is over 64 KB."
)
VERSION = Refusal(505, "http_version", "Only HTTP/1.1 and HTTP/1.0 are served.")
CHUNKED_UPGRADE = Refusal(
    501, "chunked_upgrade", "A chunked body is not read behind an upgrade to another protocol."
)
BAD_REQUEST = Refusal(
    400, "bad_request", "This is no HTTP/1.1 that can be read in one way only (RFC 9112)."
)
