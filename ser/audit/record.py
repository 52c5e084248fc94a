"""The record of an audit: `results/audit-NAME-PROTOCOL.json`."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from ser.audit.finding import Finding
from ser.jsonfile import Count, Model, Positive, TableFile, Time, Word

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
