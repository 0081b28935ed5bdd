"""How alertd logs: one line an event on standard error, for people on a terminal and as JSON elsewhere."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

SHARED = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


class ToStderr(logging.StreamHandler[TextIO]):
    """Writes to what is standard error at that moment: a progress bar takes its place while it is shown."""

    @property
    def stream(self) -> TextIO:
        """Standard error."""
        return sys.stderr

    @stream.setter
    def stream(self, _: TextIO) -> None:
        """The base class sets it once; it stays what it is."""


def _briefly(record: logging.LogRecord) -> bool:
    """Says of a request that is not HTTP no more than that: aiohttp has answered 400, and its trace helps nobody."""
    error = record.exc_info[1] if record.exc_info else None
    if type(error).__module__ == "aiohttp.http_exceptions":
        record.msg, record.args, record.exc_info = f"request_unreadable: {type(error).__name__}", (), None
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def set_up(form: str = "auto", level: str = "info") -> None:
    """Send the records of alertd and of its libraries to standard error in one form; `auto` looks at the terminal."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        if console
        else structlog.processors.JSONRenderer()
    )
    tail = [renderer] if console else [structlog.processors.format_exc_info, renderer]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=list(SHARED), processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail]
    )
    handler = ToStderr()
    handler.setFormatter(formatter)
    handler.addFilter(_briefly)
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for chatty in ("aiohttp.access", "alembic", "apscheduler", "slack_sdk", "sqlalchemy", "watchfiles"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
