"""What a report is made of, without a format: sections of paragraphs, facts, tables and pictures. All of it is plain text."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ser.results.plotting.gallery import Picture


@dataclass(frozen=True)
class Text:
    """A paragraph. `lead`: it says the most important thing of its section."""

    text: str
    lead: bool = False


@dataclass(frozen=True)
class Notice:
    """Lines that a reader must not miss, under a heading of their own. `warning`: they limit what the numbers mean."""

    heading: str
    lines: Sequence[str]
    warning: bool = True


@dataclass(frozen=True)
class Facts:
    """Names and their values. `closed`: long, and shown only when it is asked for, where the format can."""

    caption: str
    rows: Sequence[tuple[str, str]]
    closed: bool = False


@dataclass(frozen=True)
class Table:
    """A table with a heading row.

    Attributes:
        caption: what it is.
        head, rows: texts.
        left: how many columns are names: aligned to the left, and headings of their rows.
        note: a remark below.
        shade: a share from 0 to 1 a cell of the numbers (`rows` without the names), None for no shade.
        closed: as of `Facts`.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    note: str = ""
    shade: Sequence[Sequence[float | None]] | None = None
    closed: bool = False


@dataclass(frozen=True)
class Command:
    """What is typed in a terminal."""

    caption: str
    text: str


@dataclass(frozen=True)
class Image:
    """A PNG file that was drawn before, which the report takes into itself. `words`: the same for who does not see it."""

    path: Path
    words: str


Block = Text | Notice | Facts | Table | Command | Picture | Image


@dataclass(frozen=True)
class Section:
    """A heading and what is under it."""

    title: str
    blocks: Sequence[Block]
    sections: Sequence["Section"] = ()


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        title: of the page.
        sections: in order; those of the first level have those of the second in them.
        rows: its scores as tidy rows, for CSV.
        about: name and value of what made it.
    """

    title: str
    sections: Sequence[Section]
    rows: Sequence[dict[str, Any]]
    about: Sequence[tuple[str, str]] = field(default=())


def table_of(caption: str, rows: Sequence[Sequence[str]], left: int = 1, note: str = "") -> Table:
    """A table of rows whose first is the heading."""
    return Table(caption, rows[0], rows[1:], left, " ".join(note.split()))
