"""The id of what began something: of the request, or of the task, that this thread works for.

It stands in each line of the log, and goes along with each task that is enqueued (`HEADER`), so that one id finds the
way of an event through web, worker and beat.
"""

from structlog.contextvars import get_contextvars

HEADER = (
    "caused_by"  # of a task's message: a list, since one task announces what several have caused
)


def current() -> str:
    """Its id; "" where nothing began it: a command line, a shell."""
    context = get_contextvars()
    return str(context.get("request_id") or context.get("task_id") or "")
