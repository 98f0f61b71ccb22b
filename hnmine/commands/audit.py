"""`hnmine audit`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnmine.commands.command import Command
from hnmine.config import AuditSettings

if TYPE_CHECKING:
    from hnmine.audit.estimate import Audit


def run(settings: AuditSettings) -> Audit:
    """Estimate how many negatives are false."""
    from hnmine.audit.auditing import audit

    return audit(settings)


COMMAND = Command(
    settings=AuditSettings,
    summary="Estimate what share of the negatives is false, from all that is known of them.",
    example="hnmine audit --mined runs/mined --sample 300 --sheet sheet.csv",
    run=run,
    places={"mined": "mined"},
)
