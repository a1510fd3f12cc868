"""Structured logs on standard error, one line each."""

import logging
import sys
from typing import TextIO

import structlog


def configure(level: str = "INFO", stream: TextIO = sys.stderr) -> None:
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # it warns of every pipeline that an error ends
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(bool_as_flag=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )


def get(name: str) -> structlog.typing.FilteringBoundLogger:
    return structlog.get_logger(part=name)
