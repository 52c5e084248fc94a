"""Reports without a format: sections of paragraphs, facts, tables and pictures, which `formats/` write down.

All of it is plain text. Characters that control a terminal, or that a document cannot hold, are replaced here, once for all
formats.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # the terminal does without matplotlib

# C0 except tab and line feed, DEL and C1 (ESC, BEL ...), halves of surrogate pairs, and the two that are not characters in XML.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(value: Any) -> Any:
    """The same text with `U+FFFD` in place of unprintable characters; lists and tuples item by item, all else as it is."""
    if isinstance(value, str):
        return UNPRINTABLE.sub("\ufffd", value)
    if type(value) in (list, tuple):
        return type(value)(printable(item) for item in value)
    return value


class _Printable:
    def __post_init__(self) -> None:
        for f in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, f.name, printable(getattr(self, f.name)))


@dataclass(frozen=True)
class Text(_Printable):
    """A paragraph. `lead`: it says the most important thing of its section."""

    text: str
    lead: bool = False


@dataclass(frozen=True)
class Notice(_Printable):
    """Lines that a reader must not miss, under a heading of their own. `warning`: they limit what the numbers mean."""

    heading: str
    lines: Sequence[str]
    warning: bool = True


@dataclass(frozen=True)
class Facts(_Printable):
    """Names and their values. `closed`: long; a page shows it on demand, a terminal not at all."""

    caption: str
    rows: Sequence[tuple[str, str]]
    closed: bool = False


@dataclass(frozen=True)
class Table(_Printable):
    """A table with a heading row.

    Attributes:
        caption: its title.
        head, rows: texts.
        left: number of columns that are names: aligned to the left, and headings of their rows.
        note: a remark below.
        shade: a share from 0 to 1 for each cell of the numbers (`rows` without the names), None for no shade.
        closed: as in `Facts`.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    note: str = ""
    shade: Sequence[Sequence[float | None]] | None = None
    closed: bool = False

    @property
    def words(self) -> list[bool]:
        """True for each column of words (names, or cells that begin with a letter): aligned to the left, may be wrapped."""
        return [k < self.left or any(row[k][:1].isalpha() for row in self.rows) for k in range(len(self.head))]


@dataclass(frozen=True)
class Command(_Printable):
    """A command line to be typed in a terminal."""

    caption: str
    text: str


@dataclass(frozen=True)
class Image(_Printable):
    """A PNG file that was drawn before, which the report embeds. `words`: the same for readers who do not see it."""

    path: Path
    words: str


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn picture.

    Attributes:
        kind: the plugin's name.
        about: its subject, in one line.
        figure: the drawing, with its title.
        words: the same as text, for readers who do not see it.
    """

    kind: str
    about: str
    figure: "Figure"
    words: str


Block = Text | Notice | Facts | Table | Command | Image | Picture


@dataclass(frozen=True)
class Section(_Printable):
    """A heading and the blocks under it. `appendix`: for reference; a terminal leaves it out."""

    title: str
    blocks: Sequence[Block]
    sections: Sequence["Section"] = ()
    appendix: bool = False


class ScoreRow(NamedTuple):
    """One metric of one part of a result.

    Attributes:
        of: the variant, the amount of target data, or the pair of corpora; "" where there is one thing only.
        split: `validation`, `test` (mean over folds) or `pooled`.
        ci_95_low, ci_95_high: over runs; None where there are fewer than three, or all are equal.
        n: number of runs.
    """

    experiment: str
    of: str
    split: str
    metric: str
    mean: float
    std: float | None
    ci_95_low: float | None
    ci_95_high: float | None
    n: int


@dataclass(frozen=True)
class Report(_Printable):
    """A whole report.

    Attributes:
        title: of the page.
        sections: in order; those of the first level contain those of the second.
        rows: its scores as tidy rows, for CSV.
        about: name and value of the program that made it.
    """

    title: str
    sections: Sequence[Section]
    rows: Sequence[ScoreRow]
    about: Sequence[tuple[str, str]] = ()
