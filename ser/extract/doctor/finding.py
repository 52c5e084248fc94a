"""What one check found."""

from dataclasses import dataclass
from typing import Literal

WIDTH = 19  # of the names, so that lines are aligned before all checks have ended

Verdict = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        name: what was looked at.
        verdict: `ok`; `note`: works, but a user should know; `problem`: something of `ser` will fail.
        found: what is there.
        action: what to do about it; empty where nothing is to be done.
        expected: what would have been right, where that is not plain from the rest.
    """

    name: str
    verdict: Verdict
    found: str
    action: str = ""
    expected: str = ""

    def line(self) -> str:
        """All in one line.

        >>> Finding("soxr", "problem", "0.2", "Install it.", "0.3 or newer").line()
        'problem  soxr                 0.2; expected 0.3 or newer. Install it.'
        """
        text = self.found + (f"; expected {self.expected}" if self.expected else "")
        text += f". {self.action}" if self.action else ""
        return f"{self.verdict:<7}  {self.name:<{WIDTH}}  {' '.join(text.split())}"
