"""What a page loads besides itself: compressed by the web process itself, and not sent twice."""

import gzip

import pytest
from django.test import Client


@pytest.mark.parametrize(
    "path",
    ["realtime/ordercast.js", "realtime/pages.css", "admin/css/base.css", "realtime/icon.svg"],
)
def test_a_file_is_the_same_compressed_and_plain(path: str) -> None:
    plain = Client().get(f"/static/{path}")
    small = Client(headers={"Accept-Encoding": "gzip, deflate, br"}).get(f"/static/{path}")
    unpacked = gzip.decompress(small.content) if small.get("Content-Encoding") else small.content

    assert unpacked == plain.content
    assert "Content-Encoding" not in plain
    assert plain["Vary"] == small["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("path", ["realtime/ordercast.js", "realtime/pages.css"])
def test_what_is_worth_it_is_compressed(path: str) -> None:
    plain = Client().get(f"/static/{path}")
    small = Client(headers={"Accept-Encoding": "gzip"}).get(f"/static/{path}")

    assert small["Content-Encoding"] == "gzip"
    assert int(small["Content-Length"]) == len(small.content) < len(plain.content) / 2


def test_a_file_that_a_browser_holds_is_not_sent_again() -> None:
    client = Client(headers={"Accept-Encoding": "gzip"})
    first = client.get("/static/realtime/ordercast.js")

    again = client.get("/static/realtime/ordercast.js", headers={"If-None-Match": first["ETag"]})

    assert first["ETag"].startswith("W/")
    assert (again.status_code, again.content) == (304, b"")


def test_a_part_of_a_file_is_a_part_of_the_plain_one() -> None:
    client = Client(headers={"Accept-Encoding": "gzip"})

    part = client.get("/static/realtime/ordercast.js", headers={"Range": "bytes=0-9"})

    assert (part.status_code, part.content) == (206, b"// Watches")


def test_pages_are_compressed_and_the_api_is_not() -> None:
    client = Client(headers={"Accept-Encoding": "gzip"})

    page, api = client.get("/login/"), client.get("/api/openapi.json")

    assert page["Content-Encoding"] == "gzip"
    assert b"<!doctype html>" in gzip.decompress(page.content)
    assert "Content-Encoding" not in api
