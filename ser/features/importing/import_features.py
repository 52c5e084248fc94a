"""An import written into the workspace: the utterance table, where there is none yet, and a feature store for each modality."""

import hashlib
import math
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import ser
from ser.errors import ConfigError, CorpusError, StoreError
from ser.features.importing.dialogues import read_dialogues
from ser.features.importing.feature_files import FeatureFile, Imported, ImportedFeature, same_label
from ser.features.importing.joining import gather
from ser.features.importing.loading import ImportOptions
from ser.features.rows_with_features import UNKNOWN_SOURCE
from ser.features.stores.bulk_reading import BLOCK_BYTES
from ser.features.stores.failures import Failure, write_failures
from ser.features.stores.layout import DECLARED, FRAME, UTTERANCE, Facts, Record
from ser.features.stores.store import FeatureStore, store_files
from ser.features.stores.writer import StoreWriter
from ser.features.value_checks import check_values
from ser.files import JsonObject
from ser.metadata.labels import alike
from ser.metadata.ledger import IMPORTED
from ser.metadata.parsing import few
from ser.metadata.schema import Scale, TableFacts, check_name, outside_scales
from ser.metadata.table import Table, load_table, make_table, write_table
from ser.registry import unknown
from ser.workspace import Workspace

FACTS: TableFacts = {
    "corpus": None,
    "title": "Imported features",
    "licence": "that of the features and of their corpus",
    "citation": "none given: that of the features and of their corpus",
    "features": IMPORTED,
}


@dataclass(frozen=True)
class Kept:
    """A store that was written.

    Attributes:
        line: for people.
        failed: utterances of the table that got no features.
    """

    line: str
    failed: int


def import_features(
    dataset: str,
    workspace: Workspace,
    sources: Sequence[FeatureFile] = (),
    options: ImportOptions | None = None,
    *,
    pickle: Path | None = None,
    fields: Sequence[str] | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> list[Kept]:
    """Import features that were made elsewhere.

    Args:
        dataset: its table is made where there is none, or joined by utterance id where there is one.
        sources: files, see `ser.features.importing.feature_files.parse`.
        pickle: a pickle of whole dialogues, in place of sources.
        fields: the meaning of the members of that pickle.
        overwrite: replace stores that were made of other files.
        say: called with each line that a user should see.

    Returns:
        The stores that were written, one for each.

    Raises:
        ConfigError, CorpusError, StoreError: something does not fit; see the message. Nothing is written then, unless a
            store could not be.
    """
    check_name(dataset)
    options = options or ImportOptions()
    if bool(sources) == (pickle is not None):
        raise ConfigError("nothing to import, or two kinds of it", expected="files of features, or --pickle FILE")
    if fields and pickle is None:
        raise ConfigError("--fields says what the members of a pickle are", expected="--pickle FILE")
    there = workspace.table(dataset).is_file()
    table = load_table(dataset, workspace) if there else None
    rated = options.rated
    imported = gather(sources, options, table) if pickle is None else read_dialogues(pickle, fields, options)
    if rated is not None:
        imported = _rated(imported, *rated)
    for note in imported.notes:
        say(f"note: {note}")
    return write_import(imported, dataset, workspace, table, overwrite, say, options.encoders)


def write_import(
    imported: Imported,
    dataset: str,
    workspace: Workspace,
    table: Table | None = None,
    overwrite: bool = False,
    say: Callable[[str], None] = lambda _: None,
    encoders: Mapping[str, str] | None = None,
) -> list[Kept]:
    """Write each store, then the table, unless there is one. Where that fails, neither a new store nor a table is left.

    Args:
        table: the table there is: features are joined to it by id.
        overwrite: replace stores that were made of other files.
        encoders: see `ImportOptions`.

    Raises:
        CorpusError: no labels for a new table; labels that are not those of the table there is.
        ConfigError: an encoder is declared for a store that is not imported.
        StoreError: features of several widths, no utterance of the table, or a store of other files.
    """
    declared = _declared(encoders or {}, [feature.store for feature in imported.features])
    known = _table(imported, dataset) if table is None else table
    if table is not None:
        _refuse_other_labels(imported, table)
        _refuse_other_ratings(imported, table)
    new = [path for f in imported.features if not store_files(path := workspace.store(dataset, f.store))]
    try:
        kept = [
            _keep(feature, known, workspace, overwrite, say, declared.get(feature.store, "")) for feature in imported.features
        ]
        if table is None:
            path = write_table(known, workspace)
            say(f"{path}: {len(known.frame)} utterances; {_labels_in_words(known)}")
    except BaseException:
        for store in new:
            for file in (*store_files(store), store.with_name(f"{store.stem}.failures.csv")):
                file.unlink(missing_ok=True)
        raise
    return kept


def _declared(encoders: Mapping[str, str], stores: Sequence[str]) -> dict[str, str]:
    """Store -> declared encoder."""
    if not all(map(str.strip, encoders.values())):
        raise ConfigError("--encoder without a name", expected="NAME, or STORE=NAME")
    if "" in encoders and len(stores) > 1:
        raise ConfigError(f"--encoder {encoders['']} of which store?", expected=f"STORE=NAME, STORE one of {', '.join(stores)}")
    found = {store or stores[0]: name for store, name in encoders.items()}
    strange = next((store for store in found if store not in stores), None)
    if strange is not None:
        raise unknown("store of this import:", strange, list(stores))
    return found


def _table(imported: Imported, dataset: str) -> Table:
    rated = imported.facts.get("dimensions")
    if not rated and not any(row.get("label") for row in imported.rows):
        raise CorpusError(
            f"there is no table of {dataset}, and the files have no labels",
            expected="--label COLUMN, or labels=FILE",
            action=f"Or make the table first: ser metadata --dataset {dataset} --from FILE.csv",
        )
    return make_table(imported.rows, dataset, {**FACTS, "language": "", **imported.facts, "notes": imported.notes})


def _rated(imported: Imported, name: str, scale: Scale) -> Imported:
    """An import with the scale of its ratings, which must lie within it."""
    rows: list[Any] = list(imported.rows)
    ratings = pd.DataFrame({column: [row.get(column) for row in rows] for column in ("utterance_id", name)}).astype(
        {name: float}
    )
    if ratings[name].isna().all():
        raise ConfigError(f"--rating {name}: the files have no labels", expected="--label COLUMN, or labels=FILE: the ratings")
    facts: TableFacts = {**imported.facts, "dimensions": {name: scale}}
    return replace(imported, facts=facts, notes=[*imported.notes, *outside_scales(ratings, facts, (name,))])


def _labels_in_words(table: Table) -> str:
    if table.dimensions:
        return "ratings: " + ", ".join(f"{name} of {table.frame[name].notna().sum()}" for name in table.dimensions)
    counts = table.frame["label"].replace("", "no label").value_counts()
    return "labels: " + ", ".join(f"{k} {n}" for k, n in counts.items())


def _refuse_other_ratings(imported: Imported, table: Table) -> None:
    for name, scale in imported.facts.get("dimensions", {}).items():
        known = dict(zip(table.ids, table.frame[name] if name in table.ratings else [], strict=False))
        if not known:
            raise ConfigError(
                f"--rating {name}: the table of {table.dataset} has no such ratings",
                expected=f"one of {', '.join(table.ratings)}" if table.ratings else "a table with ratings",
                action="Leave --rating and --label out: ratings of the table are used as they are.",
            )
        stated = table.dimensions.get(name, scale)
        if stated != scale:
            raise ConfigError(
                f"--rating {name}:{scale['low']:g}:{scale['high']:g} is another scale than that of {table.dataset}'s table",
                expected=f"{name}:{stated['low']:g}:{stated['high']:g}",
            )
        for row in imported.rows:
            own: Any = row.get(name)
            there = known.get(row["utterance_id"])
            if there is not None and not math.isnan(there) and not same_label(own, there):
                raise CorpusError(
                    f"{name} of {row['utterance_id']} is {own:g} in the files and {there:g} in the table of {table.dataset}",
                    action="Are these features of that corpus?",
                )


def _refuse_other_labels(imported: Imported, table: Table) -> None:
    known = dict(zip(table.frame["utterance_id"], table.frame["label"], strict=True))
    for row in imported.rows:
        own, there = row.get("label"), known.get(row["utterance_id"])
        if own and there and not alike(own, there):
            raise CorpusError(
                f"the label of {row['utterance_id']} is {own!r} in the files and {there!r} in the table of {table.dataset}",
                action="Are these features of that corpus? --label-names gives the names of the files' numbers, in order.",
            )


def _keep(
    feature: ImportedFeature, table: Table, workspace: Workspace, overwrite: bool, say: Callable[[str], None], declared: str
) -> Kept:
    wanted = set(table.ids)
    first = next((np.asarray(v) for _, values in feature.pieces for v in values if np.size(v)), None)
    if first is None or first.ndim not in (1, 2):
        raise StoreError(f"{feature.store}: no features", expected="(D,) or (frames, D) of an utterance",
                         found=None if first is None else first.shape)  # fmt: skip
    level = UTTERANCE if first.ndim == 1 else FRAME
    identity = {"encoder": feature.store, "model": IMPORTED, "level": level, "files": feature.files}
    if declared:
        names = hashlib.sha256("\n".join(feature.names).encode()).hexdigest() if feature.names else ""
        identity |= {DECLARED: declared, "dim": first.shape[-1], "names_sha256": names}
    facts = Facts(feature.store, feature.modality, level, first.shape[-1], identity)
    failures: dict[str, Failure] = {}
    zeros = elsewhere = 0
    path = workspace.store(table.dataset, feature.store)
    with StoreWriter(path, facts, provenance=_provenance(), overwrite=overwrite, say=say) as writer:
        records: list[Record] = []
        done: set[str] = set()
        size = 0
        for utterance, values in _each(feature):
            if utterance not in wanted:
                elsewhere += 1
                continue
            fault = _fault(values, first.shape)
            if fault:
                failures[utterance] = Failure(utterance, "", fault, fault)
                continue
            zeros += not values.any()
            records.append(Record(utterance, values, UNKNOWN_SOURCE))
            done.add(utterance)
            size += values.nbytes
            if size >= BLOCK_BYTES:
                writer.commit(records)
                records, size = [], 0
        writer.commit(records)
        if not done:
            raise _nothing(feature, table, failures, elsewhere)
        # What the same files once gave for other utterances, joined otherwise, does not stay.
        writer.merge([i for i in table.ids if i in done])
        lacking = [i for i in table.ids if i not in done]
        count = len(done)
    why = "not in the files that were imported"
    listed = [failures.get(i) or Failure(i, "", why, why) for i in lacking]
    write_failures(path.with_name(f"{feature.store}.failures.csv"), listed)
    line = _line(feature, table, facts, count, len(listed), elsewhere, zeros)
    with FeatureStore(path) as store:
        found = check_values(store, dict(zip(table.ids, table.frame["label"], strict=True))).label_features
    named = [feature.names[k] if feature.names else f"feature {k}" for k in found]
    return Kept(f"{line}; {few(named)} alone gives the label away: a column of labels?" if named else line, len(listed))


def _each(feature: ImportedFeature) -> Iterator[tuple[str, Any]]:
    seen: set[str] = set()
    for ids, values in feature.pieces:
        for utterance, value in zip(ids, values, strict=True):
            if utterance in seen:
                raise StoreError(f"{feature.store}: utterance {utterance!r} occurs twice", expected="every id once")
            seen.add(utterance)
            yield utterance, np.ascontiguousarray(value, dtype=np.float32)


def _fault(values: Any, like: tuple[int, ...]) -> str:
    """The reason why an utterance's features cannot be used; empty where they can."""
    if values.size == 0:
        return "no frame"
    if values.ndim != len(like) or values.shape[-1] != like[-1]:
        return f"features {values.shape} where others are {like}"
    return "" if np.isfinite(values).all() else "features that are not finite"


def _nothing(feature: ImportedFeature, table: Table, failures: dict[str, Failure], elsewhere: int) -> StoreError:
    if failures:
        return StoreError(f"{feature.store}: none of {len(failures)} utterances can be used",
                          found=next(iter(failures.values())).reason)  # fmt: skip
    return StoreError(
        f"{feature.store}: none of its {elsewhere} utterances is in the table of {table.dataset}",
        expected=f"ids such as {few(table.ids, 2)}",
        found=few(feature.pieces[0][0], 2),
    )


def _line(feature: ImportedFeature, table: Table, facts: Facts, count: int, failed: int, elsewhere: int, zeros: int) -> str:
    parts = [f"{table.dataset} {feature.store}: {count} utterances, {facts.modality}, {facts.level} level, {facts.dim}"]
    if feature.names:
        parts[0] += f" ({' to '.join(dict.fromkeys((feature.names[0], feature.names[-1])))})"
    if failed:
        parts.append(f"{failed} without features (listed in {feature.store}.failures.csv)")
    if elsewhere:
        parts.append(f"{elsewhere} that are not in the table left out")
    if zeros:
        parts.append(f"{zeros} are all zeros: if that stands for missing, leave these out of the files")
    return "; ".join(parts)


def _provenance() -> JsonObject:
    versions = {"python": platform.python_version(), "numpy": np.__version__}
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return {"ser": ser.__version__, "versions": versions, "time": now}
