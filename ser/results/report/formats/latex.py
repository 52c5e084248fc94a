"""LaTeX tables (booktabs) to be put into a paper with \\input; figures come from `ser results plot --format pdf`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ser.results.blocks import Notice, Report, Section, Table
from ser.workspace import writing

ENDING = ".tex"
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"  # smaller where it is too wide
SPECIAL = str.maketrans(
    {
        **{c: f"\\{c}" for c in "&%$#_{}"},
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "±": r"$\pm$",
        "\n": " ",
    }
)


def write(report: Report, path: Path) -> None:
    """Write the tables whole; stamps stand above them as comments, and below the first table in words."""
    lines = ["% " + " ".join(f"{report.title}, {value}".split()) for _, value in report.about]
    lines += ["% Needs \\usepackage{booktabs,graphicx}. Figures: ser results plot NAME --format pdf", ""]
    for section in report.sections:
        lines += _section(section)
    with writing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _section(section: Section) -> Iterator[str]:
    stamps = [line for b in section.blocks if isinstance(b, Notice) and b.warning for line in b.lines]
    yield from (f"% {' '.join(line.split())}" for line in stamps)
    for block in section.blocks:
        if isinstance(block, Table) and not block.closed:
            yield from _table(block, stamps)
            stamps = []
    for inner in section.sections:
        yield f"% {' '.join(inner.title.split())}"
        yield from _section(inner)


def _table(table: Table, stamps: list[str]) -> Iterator[str]:
    notes = " ".join([table.note, *(s if s.endswith((".", "!", "?")) else f"{s}." for s in stamps)]).strip()
    yield from (r"\begin{table}[t]", r"\centering", r"\small", rf"\caption{{{escaped(table.caption)}}}")
    yield FITTED
    yield rf"\begin{{tabular}}{{{''.join('l' if words else 'r' for words in table.words)}}}"
    yield from (r"\toprule", _row(table.head), r"\midrule")
    yield from map(_row, table.rows)
    yield from (r"\bottomrule", r"\end{tabular}}")
    if notes:
        yield from (r"\par\smallskip", rf"\parbox{{\linewidth}}{{\footnotesize {escaped(notes)}}}")
    yield from (r"\end{table}", "")


def _row(cells: Sequence[str]) -> str:
    row = " & ".join(escaped(cell) for cell in cells) + r" \\"
    # After the end of a row or a rule, LaTeX takes these for an argument.
    return "{}" + row if row.startswith(("[", "*")) else row


def escaped(text: str) -> str:
    """Text as LaTeX sets it.

    >>> print(escaped("50% of a_b ± 1 & {x}"))
    50\\% of a\\_b $\\pm$ 1 \\& \\{x\\}
    """
    return text.translate(SPECIAL)
