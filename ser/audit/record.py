"""The record of an audit, `results/audit-NAME-PROTOCOL.json`, its findings, and the words that these have in common."""

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

from msgspec import Meta

from ser.jsonfile import Count, Model, Positive, TableFile, Time, Word

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


Pairs = list[tuple[str, str]]


class SeverityCounts(Model, kw_only=True):
    """Numbers of findings."""

    error: Count
    warning: Count
    info: Count


class SharedGroups(Model):
    """Groups (speakers, sessions, ...) of a fold's test part that its other parts have too."""

    test: Annotated[int, Meta(ge=0, description="Groups of the test part.")]
    shared: Annotated[int, Meta(ge=0, description="Those that training has too.")]
    shared_with_validation: Count
    utterances: Annotated[int, Meta(ge=0, description="Test utterances of those that training has too.")]
    utterances_with_validation: Count


class AuditedFold(Model, kw_only=True):
    """One fold: its sizes, the test utterances of each class, and the groups that it shares."""

    name: str
    train: Count
    validation: Count
    test: Count
    validation_by: Annotated[
        str, Meta(description="The rule that validation was taken by: speaker, session, split, utterance, file.")
    ]
    test_classes: dict[str, Count]
    shares: Annotated[
        dict[str, SharedGroups], Meta(description="Of speaker, session, dialogue, sentence, those that the table knows.")
    ]


class Agreement(Model):
    """The agreement of the annotators: numbers over the utterances with votes."""

    utterances: Annotated[int, Meta(ge=0, description="With votes.")]
    complete: Annotated[int, Meta(ge=0, description="With votes that sum to 1.")]
    alpha: Annotated[
        Annotated[float, Meta(le=1)] | None, Meta(description="Krippendorff's alpha, nominal, over the complete ones.")
    ]
    raters: Annotated[int | None, Meta(description="Median number of annotators that the shares make likely.")]
    majority_share: Annotated[float, Meta(ge=0, le=1.001)]
    without_majority: Count
    label_not_first: Count


class CopyPairs(Model, kw_only=True):
    """Pairs of utterances with the same audio."""

    identical: Pairs
    near_identical: Pairs


class AuditedAudio(Model, kw_only=True):
    """The audio of a dataset."""

    utterances: Count
    unusable: Count
    hours: Annotated[float, Meta(ge=0)]
    rates: Annotated[dict[str, Count], Meta(description="Hz -> utterances.")]
    copies: CopyPairs


class AuditRecord(Model, kw_only=True):
    """Audit of a dataset under a protocol: faults that would make its numbers mislead."""

    schema: Literal["ser.audit/1"] = "ser.audit/1"
    dataset: Word
    corpus: Annotated[str | None, Meta(description="The plugin that parsed it.")]
    licence: str | None
    table: TableFile
    scheme: Annotated[str, Meta(description="Label scheme: which rows are in use, and their classes.")]
    protocol: str
    utterances: Annotated[int, Meta(ge=1, description="Rows in use.")]
    classes: dict[str, Positive]
    counts: SeverityCounts
    findings: Annotated[list[Finding], Meta(description="Errors first, then warnings, then facts.")]
    folds: Annotated[list[AuditedFold], Meta(min_length=1)]
    agreement: Annotated[Agreement | None, Meta(description="null where the table has no votes.")]
    audio: Annotated[AuditedAudio | None, Meta(description="null where there is none, or it was left out.")]
    verdict: Annotated[
        dict[str, Any] | None,
        Meta(description="What every record of this protocol carries as data.audit; null where training refuses it."),
    ]
    fold_options: Annotated[dict[str, Any], Meta(description="Choices within the protocol, as in a record.")]
    command: str
    time: Time
