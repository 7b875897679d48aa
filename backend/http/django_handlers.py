"""Django behind ASGI, its middleware and views run as the synchronous code that they are.

Django's own handler goes back and forth between the event loop and a thread for each synchronous piece of middleware:
measured, 2.4 ms before a callback's view began, and as much again after it.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any

from asgiref.sync import sync_to_async
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.exception import convert_exception_to_response
from django.core.signals import request_started
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.urls import set_script_prefix

from backend.http.api_errors import Answering, problems_for_programs
from orders.callbacks import turns
from orders.callbacks.turns import Late

THREADS = 16  # as many as the database's pool has connections


class Pages(ASGIHandler):
    """Django's handler, but for one difference: middleware and view are one piece of work, done in one thread."""

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002 — Django's signature
        super().load_middleware(is_async=False)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        answer: Callable[[HttpRequest], Any] = sync_to_async(self._respond)
        return await answer(request)  # type: ignore[no-any-return] # asgiref's type is lost above

    def _respond(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if not response.streaming:
            # Here, and not once it was sent: that takes as long as the client likes, and there are few connections.
            close_old_connections()
        return response


class Callbacks(Pages):
    """The same with even less around it: the whole request in one thread of a few that are kept for callbacks.

    They are apart, so that calls which wait for a provider cannot hold callbacks up. Limit: for answers in one piece
    only, and a client that goes away meanwhile is not noticed.
    """

    def load_middleware(self, is_async: bool = False) -> None:  # noqa: ARG002 — Django's signature
        """None of a page's: a provider has no session, no language and no log-in, and a redirect it does not follow."""
        self._view_middleware: list[Any] = []
        self._template_response_middleware: list[Any] = []
        self._exception_middleware: list[Any] = []
        handler: Any = self
        view: Any = convert_exception_to_response(handler._get_response)  # noqa: SLF001 — Django's name for it
        self._middleware_chain = _with_length(problems_for_programs(view))

    def __init__(self) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="callback")

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            body = await self.read_body(receive)
        except RequestAborted:
            return
        context = copy_context()  # with the request's id for the log
        context.run(turns.may_be_late.set, True)
        loop = asyncio.get_running_loop()
        response: Any = await loop.run_in_executor(
            self._threads, partial(context.run, self._answer, scope, body)
        )
        if isinstance(response, Late):
            await _its_turn(response)
            await loop.run_in_executor(self._threads, partial(context.run, _finish, response))
        await self.send_response(response, send)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.handle(scope, receive, send)

    def _answer(self, scope: Any, body: Any) -> Any:
        set_script_prefix(get_script_prefix(scope))
        request_started.send(sender=type(self), scope=scope)
        request, refused = self.create_request(scope, body)
        response: Any = refused if request is None else self.get_response(request)
        # Here and not after it was sent: in this thread, whose connection to the database is given back.
        response.close()
        body.close()
        return response


def _with_length(get_response: Answering) -> Answering:
    def answer(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        response.headers.setdefault("Content-Length", str(len(response.content)))
        return response

    return answer


async def _its_turn(response: Late) -> None:
    """Waits without a thread, of which there are few: others go first."""
    try:
        await asyncio.wait([asyncio.wrap_future(response.turn.comes)], timeout=turns.patience())
    except asyncio.CancelledError:
        response.turn.leave()
        raise


def _finish(response: Late) -> None:
    try:
        response.finish()
    finally:
        close_old_connections()
