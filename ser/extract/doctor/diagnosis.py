"""The outcome of one check of `ser doctor`."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was checked: its name, the verdict, the finding, and the remedy where there is one.

    A note works, but with a restriction; a problem is something that makes a part of `ser` fail.
    """

    name: str
    verdict: Verdict
    found: str
    action: str = ""

    def line(self) -> str:
        """All in one line.

        >>> Diagnosis("soxr", "problem", "0.2; expected 0.3 or newer", "Install it.").line()
        'problem  soxr                 0.2; expected 0.3 or newer. Install it.'
        """
        text = self.found + (f". {self.action}" if self.action else "")
        return f"{self.verdict:<7}  {self.name:<19}  {' '.join(text.split())}"
