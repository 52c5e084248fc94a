"""Markdown with tables, for a repository or an issue; pictures are SVG files in a folder beside it."""

import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from ser.results.blocks import Block, Command, Facts, Image, Notice, Report, Section, Table, Text
from ser.workspace import writing

ENDING = ".md"
FOLDER = "_files"  # behind the name, of the pictures
SPECIAL = str.maketrans({"|": r"\|", "<": "&lt;", "*": r"\*", "_": r"\_", "`": r"\`", "\n": " "})
_SIGN = r"[!-/:-@\[-`{-~]"  # before which a backslash has a meaning


def write(report: Report, path: Path) -> None:
    """Write the text, and its pictures into a folder of the same name with `FOLDER` after it."""
    pictures = path.with_name(f"{path.stem}{FOLDER}")
    numbers = count(1)
    lines = [f"# {_escaped(report.title)}", ""]
    for section in report.sections:
        lines += _section(section, 2, pictures, numbers)
    with writing(path) as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def _section(section: Section, level: int, pictures: Path, numbers: "count[int]") -> Iterator[str]:
    yield from (f"{'#' * level} {_escaped(section.title)}", "")
    for block in section.blocks:
        yield from _block(block, level + 1, pictures, numbers)
        yield ""
    for inner in section.sections:
        yield from _section(inner, level + 1, pictures, numbers)


def _block(block: Block, level: int, pictures: Path, numbers: "count[int]") -> Iterator[str]:
    if isinstance(block, Text):
        yield f"**{_escaped(block.text)}**" if block.lead else _escaped(block.text)
    elif isinstance(block, Notice):
        yield f"> **{_escaped(block.heading)}**"
        yield from (f"> - {_escaped(line)}" for line in block.lines)
    elif isinstance(block, Facts):
        yield from table_lines(Table(block.caption, ["", ""], block.rows))
    elif isinstance(block, Table):
        yield from table_lines(block)
    elif isinstance(block, Command):
        yield from (f"{_escaped(block.caption)}:", "", *(f"    {line}" for line in block.text.splitlines()))
    elif isinstance(block, Image):
        file = pictures / f"{next(numbers):02d}-{re.sub(r'[^A-Za-z0-9._-]', '_', block.path.name)}"
        with writing(file) as temporary:
            temporary.write_bytes(block.path.read_bytes())
        about = _escaped(block.words).replace("[", "(").replace("]", ")")
        yield from (f"![{about}]({pictures.name}/{file.name})", "", _escaped(block.words))
    else:
        from ser.results.plotting.style import save  # here, as tables alone do without matplotlib

        file = pictures / f"{next(numbers):02d}-{block.kind}.svg"
        save(block.figure, file)
        about = block.about.replace("[", "(").replace("]", ")")
        yield from (f"![{about}]({pictures.name}/{file.name})", "", _escaped(block.words))


def table_lines(table: Table) -> Iterator[str]:
    """The lines of a table, with its caption where it has one."""
    if table.caption:
        yield from (f"**{_escaped(table.caption)}**", "")
    yield "| " + " | ".join(_escaped(cell) or " " for cell in table.head) + " |"
    yield "| " + " | ".join("---" if words else "---:" for words in table.words) + " |"
    yield from ("| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in table.rows)
    if table.note:
        yield from ("", _escaped(table.note))


def _escaped(text: str) -> str:
    r"""Text as Markdown shows it.

    >>> print(_escaped(r"a\_b, [x](y) `z`"))
    a\\\_b, [x]\(y) \`z\`
    """
    return re.sub(rf"\\(?={_SIGN})", r"\\\\", text).translate(SPECIAL).replace("](", "]\\(")
