"""One finding of an audit, and the words that findings have in common."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

ERROR, WARNING, INFO = "error", "warning", "info"
SEVERITIES = (ERROR, WARNING, INFO)
EXAMPLES = 20


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        kind: a word for programs, `shared-speakers`.
        severity: `error`: numbers would mislead, or utterances cannot be used; `warning`: to be known, said or mended;
            `info`: a fact of the corpus.
        what: the finding in a few words.
        count: the number of things that it is found of.
        of: the number of things that it could be found of; None where there is no such number.
        detail: numbers in a sentence; "" where the count says all.
        examples: ids or names, up to `EXAMPLES` of them.
        action: the advice; "" for none.
    """

    kind: str
    severity: str
    what: str
    count: int
    of: int | None = None
    detail: str = ""
    examples: tuple[str, ...] = ()
    action: str = ""

    def facts(self) -> dict[str, Any]:
        """The finding as it stands in the record of an audit."""
        return {**asdict(self), "examples": list(self.examples)}


def some(names: Iterable[object]) -> tuple[str, ...]:
    """The first `EXAMPLES` of many names."""
    return tuple(str(name) for name, _ in zip(names, range(EXAMPLES), strict=False))


def share(part: int, whole: int) -> str:
    """A count with the whole and its percentage.

    >>> share(2410, 2610)
    '2,410 of 2,610 (92.3 %)'
    """
    return f"{part:,} of {whole:,} ({100 * part / max(1, whole):.1f} %)"


def over(folds: int) -> str:
    """The words for a count that is summed over folds; none for a single fold.

    >>> over(6), over(1)
    (' over 6 folds', '')
    """
    return f" over {folds} folds" if folds > 1 else ""
