"""What happened, for OpenTelemetry: spans and metrics with its GenAI names.

OpenTelemetry is imported when a `Telemetry` is made.
"""

from typing import TYPE_CHECKING

from tierwise.lazy import lazily

if TYPE_CHECKING:
    from tierwise.telemetry.telemetry import Telemetry
else:
    __getattr__ = lazily(__name__, {"Telemetry": "telemetry"})

__all__ = ["Telemetry"]
