"""Settings of CrewAI, which reads them while it is imported: import this module before it.

Without them CrewAI reports its runs, asks at the first one whether it may trace them, keeps what agents said in a
database in your home, and logs every draft that is not of its shape, and that it estimates the length of prompts. What
the environment says already stays.
"""

from __future__ import annotations

import logging
import os
from tempfile import TemporaryDirectory

__all__ = ["FOLDER"]

FOLDER = TemporaryDirectory(prefix="tierwise-crewai-", ignore_cleanup_errors=True)
"""Where CrewAI keeps what it keeps, to the end of the process."""

_SETTINGS = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_STORAGE_DIR": FOLDER.name,
}


def _is_news(record: logging.LogRecord) -> bool:
    """The receipt has every call that failed, with its reason."""
    return not record.getMessage().startswith("OpenAI API call failed")


for _name, _value in _SETTINGS.items():
    os.environ.setdefault(_name, _value)
logging.getLogger().addFilter(_is_news)
logging.getLogger("crewai.llms.base_llm").setLevel(logging.ERROR)
