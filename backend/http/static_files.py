"""Static files in one piece: a file that is streamed would be read by Django under ASGI in a thread, chunk by chunk."""

import gzip
from functools import lru_cache
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile

_LEAST = 500  # bytes; below it, compressing saves nothing that a packet would notice
_KEPT = 256  # compressed files in memory: all of ours and the admin's


class StaticFiles(WhiteNoiseMiddleware):  # type: ignore[misc] # whitenoise has no types
    """WhiteNoise, whose answers hold the whole file, compressed where that is worth it. All of ours are small.

    There is no second copy on disk to compress before a start and to forget.
    """

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        answer = static_file.get_response(request.method, _asked(request))
        content = b""
        if answer.file is not None:
            with answer.file as file:
                content = file.read()
        response = HttpResponse(content, status=int(answer.status))
        del response["content-type"]
        for name, value in answer.headers:
            response[name] = value
        if answer.status == 200 and _is_text(response):
            _compress(response, request)
        return response


def _asked(request: HttpRequest) -> dict[str, Any]:
    """WhiteNoise compares an ETag letter by letter, so it must not see that ours are weak."""
    tag = request.META.get("HTTP_IF_NONE_MATCH", "")
    return {**request.META, "HTTP_IF_NONE_MATCH": tag.removeprefix("W/")} if tag else request.META


def _is_text(response: HttpResponse) -> bool:
    kind = response.get("Content-Type", "")
    return kind.startswith("text/") or kind.partition(";")[0].endswith(
        ("javascript", "json", "xml")
    )


def _compress(response: HttpResponse, request: HttpRequest) -> None:
    patch_vary_headers(response, ["Accept-Encoding"])
    encodings = request.headers.get("Accept-Encoding", "")
    if len(response.content) < _LEAST or "gzip" not in encodings:
        return
    response.content = _compressed(response.content)
    response["Content-Encoding"] = "gzip"
    response["Content-Length"] = str(len(response.content))
    if tag := response.get("ETag"):
        response["ETag"] = f"W/{tag}"  # the same file, but not byte for byte


@lru_cache(maxsize=_KEPT)
def _compressed(content: bytes) -> bytes:
    return gzip.compress(content, 9, mtime=0)
