"""Settings of CrewAI, which reads them while it is imported: import this module before it.

Without them CrewAI reports its runs, asks at the first one whether it may trace them, and keeps what agents said in a
database in your home. What the environment says already stays.
"""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory

__all__ = ["FOLDER"]

FOLDER = TemporaryDirectory(prefix="tierwise-crewai-", ignore_cleanup_errors=True)
"""Where CrewAI keeps what it keeps, to the end of the process."""

for _name, _value in {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_STORAGE_DIR": FOLDER.name,
}.items():
    os.environ.setdefault(_name, _value)
