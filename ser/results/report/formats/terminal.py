"""Plain text for a terminal, in its width, without pictures and appendix."""

import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import TextWrapper, fill, wrap

from ser.results.blocks import Block, Command, Facts, Notice, Report, Section, Table, Text
from ser.workspace import writing

ENDING = ".txt"
WIDTH = 100  # where the width of the terminal is not known
READABLE = 120  # sentences are no longer than this in a wider terminal
LONG = 16  # rows of a closed table; of more the ends are shown
NARROW = 12  # characters that a column of words keeps
PIECES = re.compile(r"[^\s+_-]*[+_-]+|[^\s+_-]+\s*|\s+")  # of a cell: lines may end between them, never in a name's part


def write(report: Report, path: Path) -> None:
    """Write the text whole."""
    with writing(path) as temporary:
        temporary.write_text(render(report, WIDTH) + "\n", encoding="utf-8")


def render(report: Report, width: int | None = None) -> str:
    """A report as lines of text of so many characters; None: as many as the terminal has."""
    width = width or shutil.get_terminal_size((WIDTH, 24)).columns
    parts = [_underlined(report.title, "=")]
    for section in report.sections:
        parts += _section(section, width, "=" if section.sections else "-")
    return "\n\n".join(parts)


def window() -> int | None:
    """The characters of a line of the terminal; None where the text goes into a file or another program."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else None


def _underlined(title: str, with_: str) -> str:
    return f"{title}\n{with_ * len(title)}"


def _section(section: Section, width: int, line: str = "-") -> Iterator[str]:
    blocks = [text for block in section.blocks if (text := _block(block, width))]
    if section.appendix or not (blocks or section.sections):
        return
    yield _underlined(section.title, line)
    yield from blocks
    for inner in section.sections:
        yield from _section(inner, width)


def _block(block: Block, width: int) -> str:
    """The lines of a block; none of pictures and of long facts."""
    if isinstance(block, Text):
        return fill(block.text, min(width, READABLE))
    if isinstance(block, Notice):
        return "\n".join([block.heading, *(_hanging("  - ", line, width) for line in block.lines)])
    if isinstance(block, Facts):
        size = max((len(name) for name, _ in block.rows), default=0)
        return "" if block.closed else "\n".join(_hanging(f"{name:<{size}}  ", value, width) for name, value in block.rows)
    if isinstance(block, Command):
        return f"{block.caption}:\n\n    {block.text}"
    return table(block, width) if isinstance(block, Table) else ""


def _hanging(first: str, text: str, width: int) -> str:
    """Wrap a text so that later lines are indented as the first. Words are never cut, so that names can be copied."""
    wrapper = TextWrapper(min(width, READABLE), first, " " * len(first), break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(text) or first


def table(block: Table, width: int | None) -> str:
    """A table with its caption and note: headings and then words are wrapped at a width; None: each row stays one line."""
    rows = [*block.rows]
    if block.closed and len(rows) > LONG:
        rows = [*rows[: LONG // 2], ["..."] + [""] * (len(block.head) - 1), *rows[-LONG // 2 :]]
    lines = [fill(block.caption, width or WIDTH)] if block.caption else []
    lines.append(_grid(block.head, rows, block.words, width))
    lines += [fill(block.note, min(width or WIDTH, READABLE))] if block.note else []
    return "\n".join(lines)


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]], words: list[bool], width: int | None) -> str:
    import tabulate

    tabulate.MIN_PADDING = 0  # or a heading is two wider than its words
    cells = [[cell.replace("\n", " ") for cell in row] for row in rows]
    sizes = _sizes(head, cells, [k for k, wordy in enumerate(words) if wordy], width)
    heads = ["\n".join(wrap(name, size)) for name, size in zip(head, sizes, strict=True)]
    cells = [[_wrapped(c, s) for c, s in zip(row, sizes, strict=True)] for row in cells]
    aligned = ["left" if wordy else "right" for wordy in words]
    made = tabulate.tabulate(cells, heads, tablefmt="simple", disable_numparse=True, colalign=aligned)
    return "\n".join(line.rstrip() for line in made.splitlines())


def _sizes(head: Sequence[str], rows: Sequence[Sequence[str]], wordy: list[int], width: int | None) -> list[int]:
    """Characters of each column: as its cells and the longest word of its heading need; fewer in columns of words if needed."""
    body = [max(map(len, column), default=0) for column in zip(*rows, strict=True)] if rows else [0] * len(head)
    whole = [max(1, size, len(name)) for size, name in zip(body, head, strict=True)]
    if width is None or sum(whole) + 2 * (len(whole) - 1) <= width:
        return whole
    words = [max(map(len, name.split()), default=0) for name in head]
    sizes = [max(1, size, word) for size, word in zip(body, words, strict=True)]
    least = {
        k: max(words[k], min(NARROW, sizes[k]), *(len(p.rstrip()) for row in rows for p in PIECES.findall(row[k])))
        for k in wordy
    }
    while sum(sizes) + 2 * (len(sizes) - 1) > width:
        wide = [k for k in wordy if sizes[k] > least[k]]
        if not wide:
            break
        sizes[max(wide, key=lambda k: (k > 0, sizes[k]))] -= 1  # names of rows last
    return sizes


def _wrapped(text: str, size: int) -> str:
    lines = [""]
    for piece in PIECES.findall(text):
        if lines[-1] and len((lines[-1] + piece).rstrip()) > size:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)
