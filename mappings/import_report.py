"""What an import of configuration files did, line by line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from mappings.config_files import Fault, Place

ADDED: Final = "added"
CHANGED: Final = "changed"
UNCHANGED: Final = "unchanged"
FLAGGED: Final = "flagged"


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that an import did (added, changed, unchanged) or asks to look at (flagged)."""

    action: str
    sentence: str
    place: Place


@dataclass
class ImportReport:
    """What an import did, or would do; with faults nothing was stored."""

    is_dry_run: bool = False
    changes: list[Change] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def count(self, action: str) -> int:
        """How many changes of this action there are."""
        return sum(change.action == action for change in self.changes)

    def as_dict(self) -> dict[str, Any]:
        """JSON values for scripts."""
        return {
            "dry_run": self.is_dry_run,
            "ok": not self.faults,
            **{action: self.count(action) for action in (ADDED, CHANGED, UNCHANGED, FLAGGED)},
            "changes": [
                {
                    "action": change.action,
                    "sentence": change.sentence,
                    "file": change.place.file,
                    "line": change.place.line,
                }
                for change in self.changes
            ],
            "faults": [
                {"sentence": fault.sentence, "file": fault.place.file, "line": fault.place.line}
                for fault in self.faults
            ],
        }
