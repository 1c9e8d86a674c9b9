"""Could it be cheaper? `audit` reads a ledger's rows and changes nothing."""

from tierwise.audit.audit import audit
from tierwise.audit.kinds import Finding, Share, find
from tierwise.audit.report import AuditReport, Projection, Slice

__all__ = ["AuditReport", "Finding", "Projection", "Share", "Slice", "audit", "find"]
