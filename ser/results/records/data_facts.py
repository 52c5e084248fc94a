"""The facts that a record states about its data, as far as somebody reads them.

`data` of a record is free: each command adds what it knows. What is read of it has these types: `ser.results.records.kinds`
refuses a file in which one has another, so that a record from elsewhere ends in a result or in one error.
"""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, UnsetType, field

from ser.jsonfile import Model, check

ValidationBy: TypeAlias = Literal["auto", "speaker", "session", "dialogue", "utterance"]


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


class FoldPart(Model, kw_only=True, forbid_unknown_fields=False):
    """Of a fold of several corpora, the part of one of them: the name of its own fold, and if this one tests it."""

    fold: str
    tested: bool


class FoldFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """The sizes of a fold, what validation was taken by, and of several corpora the part of each."""

    name: str
    train: int | UnsetType = UNSET
    validation: int | UnsetType = UNSET
    test: int | UnsetType = UNSET
    validation_by: str | None = None
    parts: dict[str, FoldPart] = field(default_factory=dict)


class FoldOptionFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """Options of a protocol; see `ser.metadata.folds.fold.FoldOptions`."""

    folds: int | None = None
    seed: int = 0
    file: str | None = None
    validation: ValidationBy = "auto"
    stratified: bool = False


class HashedFile(Model, kw_only=True, forbid_unknown_fields=False):
    """A table by its SHA-256."""

    sha256: str


class HashedStore(Model, kw_only=True, forbid_unknown_fields=False):
    """A feature store by the SHA-256 of its file and of the values in use, and the layer where one of several is used."""

    sha256: str = "-"
    features_sha256: str = "-"
    layer: int | UnsetType = UNSET


class ScaleFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """The ends of the scale of a dimension."""

    low: float
    high: float


class DataFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """The data of a record, or of one of its datasets."""

    dataset: str = ""
    source: str | None = None
    target: str | None = None
    scheme: str = ""
    learns: str = "emotion"
    scales: dict[str, ScaleFacts] = field(default_factory=dict)
    utterances: int | None = None
    classes: dict[str, int] = field(default_factory=dict)
    protocol: str | None = None
    fold_options: FoldOptionFacts = field(default_factory=FoldOptionFacts)
    untested: list[str] = field(default_factory=list)
    normalize: str = "none"
    datasets: "dict[str, DataFacts]" = field(default_factory=dict)
    table: HashedFile | None = None
    stores: dict[str, HashedStore] = field(default_factory=dict)
    folds_sha256: str | None = None
    dropped: dict[str, int] = field(default_factory=dict)
    folds: list[FoldFacts] = field(default_factory=list)
    audit: AuditFacts | None = None
    label_space: LabelSpace | None = None
    normalization: str | None = None

    @property
    def layers(self) -> dict[str, dict[str, int]]:
        """The layer of each store of which one of several is used, as `ser.features.stored_layers.as_used` takes it."""
        return {name: {"layer": store.layer} for name, store in self.stores.items() if store.layer is not UNSET}

    @property
    def asked(self) -> dict[str, Any]:
        """The arguments of `load_tensors` and `load_labels`, except the scheme, that make these facts again."""
        scales = {name: {"low": scale.low, "high": scale.high} for name, scale in self.scales.items()}
        return {"classes": list(self.classes), "target": self.learns, "scales": scales}


class InputFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """An input of an experiment's configuration: its dataset, and the SHA-256 of the values of each store."""

    dataset: str = ""
    stores: dict[str, str] | UnsetType = UNSET


class ConfigFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """The part of the configuration of a record that is read."""

    inputs: list[InputFacts] = field(default_factory=list)
    average: str = "none"
    selection: str = "last"


class StatedFacts(Model, kw_only=True, forbid_unknown_fields=False):
    """The two parts of a record that are free."""

    data: DataFacts
    config: ConfigFacts


def stated_facts(record: Any, name: object) -> StatedFacts:
    """The facts that a summary or a study states about its data, and its configuration.

    Raises:
        ConfigError: they are not of these types; the error calls the record by `name`.
    """
    return check({"data": record.data, "config": record.config}, StatedFacts, name)


def data_facts(record: Any) -> DataFacts:
    """The facts that a summary or a study states about its data; errors as of `stated_facts`."""
    return stated_facts(record, record.experiment).data


def dropped_in_words(dropped: Mapping[str, int]) -> str:
    """The utterances of a table that are not in use, by reason; one with labels behind it is named once.

    >>> dropped_in_words({"not in scheme 4: boredom": 24, "not in scheme 4: fear": 3, "no mfcc features": 2})
    'not in scheme 4: 27 (boredom 24, fear 3), no mfcc features: 2'
    """
    found: dict[str, dict[str, int]] = {}
    for words, count in dropped.items():
        reason, _, label = words.partition(": ")
        found.setdefault(reason, {})[label] = count
    return ", ".join(
        f"{reason}: {sum(of.values())}" + (f" ({', '.join(f'{label} {n}' for label, n in of.items())})" if any(of) else "")
        for reason, of in found.items()
    )
