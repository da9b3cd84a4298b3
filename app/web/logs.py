"""The server's log as JSON lines, one object a line, for whoever collects logs.

What a visitor sends is never in it: an exception is logged as its kind, without its text.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_SERVERS = ("uvicorn", "uvicorn.error", "uvicorn.access")


class JsonLines(logging.Formatter):
    """`time` (UTC), `level`, `logger`, `event`, what `extra` holds in `facts`, and of an exception
    `error`, its kind.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat("T", "milliseconds")
        line = {
            "time": time,
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[1]:
            line["error"] = type(record.exc_info[1]).__name__
        return json.dumps(line)


def log_as_json() -> None:
    """Write everything that is logged from now on as JSON lines to standard error.

    To be called once the server runs: uvicorn sets up a log of its own as it starts.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.getLogger("app").setLevel(logging.INFO)
    for name in _SERVERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
