"""Keeps tokens out of the access log: a WebSocket often has no other place for one than its address."""

import logging
import re

_SECRET = re.compile(r"((?:token|grant|return_code)=)[^&\s\"']++", re.IGNORECASE)
_HANDSHAKE = '%s - "WebSocket %s"'  # how uvicorn begins a line about one, accepted or refused


def redacted(text: str) -> str:
    return _SECRET.sub(r"\1[redacted]", text)


class RedactTokens(logging.Filter):
    """Lets every record through, without the queries of handshakes, and without the values of `token`, `grant` and
    `return_code`."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            is_handshake = isinstance(record.msg, str) and record.msg.startswith(_HANDSHAKE)
            record.args = tuple(
                _cleaned(arg, is_handshake) if isinstance(arg, str) else arg for arg in record.args
            )
        if isinstance(record.msg, str) and (words := redacted(record.msg)) != record.msg:
            # What was taken out may be the place of an argument, and so the line is put together first.
            record.msg = redacted(record.getMessage()) if record.args else words
            record.args = ()
        return True


def _cleaned(arg: str, is_handshake: bool) -> str:
    if is_handshake:
        return arg.partition("?")[0]
    return redacted(arg) if "=" in arg else arg


def install() -> None:
    """Put the filter on the loggers that write addresses."""
    for name in ("uvicorn.access", "uvicorn.error", "django.request", "daphne.access"):
        logger = logging.getLogger(name)
        if not any(isinstance(each, RedactTokens) for each in logger.filters):
            logger.addFilter(RedactTokens())
