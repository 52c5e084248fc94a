"""The facts that a record states about its data, as far as reports show them.

`data` of a record is free: each command adds what it knows. What is shown of it is read through these types, so that a record
from elsewhere ends in a report or in one error.
"""

from typing import Any

from msgspec import UNSET, UnsetType, ValidationError, convert, field

from ser.errors import ConfigError
from ser.jsonfile import Model


class CorpusClasses(Model, kw_only=True, forbid_unknown_fields=False):
    """One corpus over the classes that several share: its utterances, and the numbers of those left out by emotion."""

    dataset: str
    utterances: int
    left_out: dict[str, int]


class LabelSpace(Model, kw_only=True, forbid_unknown_fields=False):
    """The classes that several corpora share."""

    classes: list[str]
    corpora: list[CorpusClasses]


class ShareFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """Groups (speakers, sessions ...) of the test parts that training has too; see `ser.audit.sharing.GroupShare`."""

    known: bool = False
    test: float = 0.0
    shared: int = 0
    shared_with_validation: int = 0
    unknown: int = 0


class AuditFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """The verdict of the audit; see `ser.audit.sharing.SharingVerdict`."""

    shares: dict[str, ShareFacts]
    speaker_independent: bool | None
    overlap: int
    copies: dict[str, Any] | None = None


class FoldFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """The sizes of a fold, and what validation was taken by."""

    name: str
    train: int | UnsetType = UNSET
    validation: int | UnsetType = UNSET
    test: int | UnsetType = UNSET
    validation_by: str | None = None


class HashedFile(Model, kw_only=True, forbid_unknown_fields=False):
    """A table by its SHA-256."""

    sha256: str


class HashedStore(Model, kw_only=True, forbid_unknown_fields=False):
    """A feature store by the SHA-256 of the values in use."""

    features_sha256: str = "-"


class DataFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """The data of a record, or of one of its datasets."""

    dataset: str = ""
    datasets: dict[str, "DataFacts"] = field(default_factory=dict)
    table: HashedFile | None = None
    stores: dict[str, HashedStore] = field(default_factory=dict)
    folds_sha256: str | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    folds: list[FoldFacts] = field(default_factory=list)
    audit: AuditFacts | None = None
    label_space: LabelSpace | None = None
    normalization: str | None = None


def data_facts(record: Any) -> DataFacts:
    """The facts that a summary or a study states about its data.

    Raises:
        ConfigError: they are not of these types.
    """
    try:
        return convert(record.data, DataFacts)
    except ValidationError as error:
        raise ConfigError(f"{record.experiment} is damaged in its data", found=error) from None
