"""Credentials as clients bring them, and what a client hears that is refused."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.test import Client

from orders import access
from tests.realtime.serving import Server, page

STRANGE = "f" * 32  # an order that there is not


def grant(*refs: str, lifetime: timedelta = timedelta(hours=1)) -> str:
    return access.issue_grant(refs, lifetime)


def log_in(user: User) -> dict[str, str]:
    client = Client()
    client.force_login(user)
    return {"Cookie": f"sessionid={client.cookies['sessionid'].value}"}


async def refused(server: Server, path: str, token: str | None) -> tuple[int, str]:
    """The close code, and the text of the error that came before it."""
    async with page(server, path, token=token) as watching:
        code = await watching.close_code()
        error = watching.of("error")[-1]
        assert error["code"] == code
        return code, error["message"]
