"""One finding of an audit, and the words that findings have in common."""

from collections.abc import Iterable
from typing import Annotated, Final, Literal

from msgspec import Meta

from ser.jsonfile import Count, Model, Word

Severity = Literal["error", "warning", "info"]
ERROR: Final = "error"
WARNING: Final = "warning"
INFO: Final = "info"
SEVERITIES: tuple[Severity, ...] = (ERROR, WARNING, INFO)
EXAMPLES = 20


class Finding(Model):
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

    kind: Annotated[str, Meta(pattern="^[a-z][a-z0-9-]*$", description="A word for programs.")]
    severity: Severity
    what: Word
    count: Count
    of: Count | None = None
    detail: str = ""
    examples: Annotated[tuple[str, ...], Meta(description="Ids or names, 20 at most.")] = ()
    action: Annotated[str, Meta(description="Advice; empty for none.")] = ""


def some_names(names: Iterable[object]) -> tuple[str, ...]:
    """The first `EXAMPLES` of many names."""
    return tuple(str(name) for name, _ in zip(names, range(EXAMPLES), strict=False))


def finding_on(
    names: Iterable[object], kind: str, severity: Severity, what: str, of: int | None = None, detail: str = "", action: str = ""
) -> list[Finding]:
    """The finding on some things, by their names, which are counted; none on no things."""
    found = list(names)
    return [Finding(kind, severity, what, len(found), of, detail, some_names(found), action)] if found else []


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
