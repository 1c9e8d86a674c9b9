"""For tests of whatever uses Tierwise: a scripted backend, a misbehaving provider, conformance suites."""

from tierwise.testing.scripted import HANG, ScriptedBackend, Step, Stream

__all__ = ["HANG", "ScriptedBackend", "Step", "Stream"]
