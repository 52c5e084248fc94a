"""What an audit says: findings by severity, and the rows and folds that they are about."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from ser.errors import CorpusError
from ser.metadata.folds.fold import Fold, Rows
from ser.metadata.labels import load_scheme
from ser.metadata.table import Table

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
        count: of how many things it is found.
        of: of how many it could be; None where there is no such number.
        detail: numbers in a sentence; "" where the count says all.
        examples: ids or names, some of them.
        action: what to do; "" for nothing.
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
        """For JSON."""
        return {**asdict(self), "examples": list(self.examples)}


@dataclass(frozen=True, eq=False)
class Subject:
    """What is audited.

    Attributes:
        table: the whole table.
        frame: the rows that the label scheme keeps, `(n, columns)`.
        labels: class number of each of them, `(n,)`.
        classes: names of the classes.
        protocol: its name.
        folds: positions in `frame`.
    """

    table: Table
    frame: pd.DataFrame
    labels: Rows
    classes: tuple[str, ...]
    protocol: str
    folds: list[Fold]

    @property
    def tested(self) -> int:
        """Test utterances, summed over folds."""
        return sum(len(fold.test) for fold in self.folds)


def in_use(table: Table, scheme: str) -> tuple[pd.DataFrame, Rows, tuple[str, ...]]:
    """Rows that a label scheme keeps, their class numbers, and the classes that there are.

    Raises:
        CorpusError: the scheme keeps none.
    """
    rule = load_scheme(scheme, table.frame)
    names = rule.apply(table.frame)
    keep = names.isin(rule.classes).to_numpy()
    if not keep.any():
        raise CorpusError(f"{table.dataset}: scheme {scheme} keeps no utterance", action="Choose another --scheme.")
    present = tuple(c for c in rule.classes if (names == c).any())
    number = {c: k for k, c in enumerate(present)}
    labels = np.array([number[n] for n in names[keep]], dtype=np.int64)
    return table.frame[keep].reset_index(drop=True), labels, present


def some(names: Iterable[Any]) -> tuple[str, ...]:
    """The first of many, as examples."""
    return tuple(str(name) for name, _ in zip(names, range(EXAMPLES), strict=False))


def share(part: int, whole: int) -> str:
    """A count of a whole with its percentage.

    >>> share(2410, 2610)
    '2,410 of 2,610 (92.3 %)'
    """
    return f"{part:,} of {whole:,} ({100 * part / max(1, whole):.1f} %)"


def over(folds: int) -> str:
    """The words for a count summed over folds; nothing for a single one.

    >>> over(6), over(1)
    (' over 6 folds', '')
    """
    return f" over {folds} folds" if folds > 1 else ""
