"""What a reviewer should look at: in submitted code before it runs, in result files before they leave. Pure.

Findings are hints. None of them permits anything, and nothing found does not mean harmless: what a job may really do is
decided by the box it runs in.
"""

from __future__ import annotations

from collections.abc import Collection

from scq.findings.code import in_code
from scq.findings.known import Known, fingerprints
from scq.findings.names import is_plain
from scq.findings.results import Inspected, inspect
from scq.findings.rules import CODE_RULES, RESULT_RULES, RULES
from scq.model import Finding

__all__ = [
    "CODE_RULES",
    "RESULT_RULES",
    "RULES",
    "Inspected",
    "Known",
    "denied",
    "fingerprints",
    "in_code",
    "inspect",
    "is_plain",
]


def denied(found: Collection[Finding], deny: Collection[str], accepted: Collection[str] = ()) -> tuple[Finding, ...]:
    """The findings that block an approval: their rule is denied by the configuration and was not accepted for this job."""
    blocking = set(deny) - set(accepted)
    return tuple(finding for finding in found if finding.rule in blocking)
