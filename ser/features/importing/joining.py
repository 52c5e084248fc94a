"""Files of features of several modalities and parts, joined by utterance id, or by row where `--rows` says so."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from ser.errors import ConfigError, CorpusError
from ser.features.importing.feature_files import FACTS, FeatureFile, Imported, ImportedFeature, composed, same_label, sha256
from ser.features.importing.loading import ImportOptions, Loaded, load
from ser.metadata.labels import one_spelling
from ser.metadata.parsing import few
from ser.metadata.schema import Row
from ser.metadata.table import Table
from ser.metadata.table_files import RawRow
from ser.metadata.words_in_cells import GENDERS, SPLITS


@dataclass(eq=False)
class _Part:
    """The files of one part."""

    name: str
    loaded: list[Loaded]


def gather(sources: Sequence[FeatureFile], options: ImportOptions, table: Table | None = None) -> Imported:
    """Read all sources and join them.

    Args:
        sources: files of features, and facts that go with them.
        table: the dataset's table, where there is one: files joined by row are in its order.

    Raises:
        ConfigError, CorpusError: files that do not go together: other counts, other labels; ids that are not there.
    """
    features: dict[str, ImportedFeature] = {}
    notes: list[str] = []
    rows: dict[str, RawRow] = {}
    spelt = {composed(i): i for i in table.ids} if table is not None else {}  # an older table may have other encodings
    for part in _parts(sources, options):
        ids = [[spelt.get(i, i) for i in map(composed, own)] for own in _ids(part, options, table)]
        for loaded, own in zip(part.loaded, ids, strict=True):
            feature = features.setdefault(loaded.source.store, ImportedFeature(loaded.source.store, loaded.source.modality))
            if feature.modality != loaded.source.modality:
                raise ConfigError(f"store {feature.store} of {feature.modality} and of {loaded.source.modality}")
            _same_columns(loaded, feature)
            if loaded.left_out:
                notes.append(f"{loaded.name}: no features are {few(loaded.left_out)}; --columns names those that are")
            feature.pieces.append((own, loaded.values))
            feature.files[f"{part.name} {loaded.source.file}".strip()] = sha256(loaded.source.path)
            feature.files.update({f"{part.name} {path.name}".strip(): sha256(path) for path in loaded.files})
        for utterance, row in _rows(part, ids, options).items():
            if utterance in rows and part.name:
                raise CorpusError(f"utterance {utterance!r} is in two parts", expected="every id once")
            rows[utterance] = row
    kept = one_spelling(row["label"] for row in rows.values() if row.get("label"))
    for row in rows.values():
        if row.get("label"):
            row["label"] = kept[row["label"]]
    return Imported(cast(list[Row], list(rows.values())), list(features.values()), notes=notes)


def _same_columns(loaded: Loaded, feature: ImportedFeature) -> None:
    """Files of several parts have the same features in the same order, by their names."""
    if feature.pieces and loaded.names != feature.names and len(loaded.names) == len(feature.names):
        one, other = next(pair for pair in zip(loaded.names, feature.names, strict=True) if pair[0] != pair[1])
        raise CorpusError(f"{loaded.name} has other columns than the files before it", expected=repr(other), found=repr(one))
    if not feature.pieces:
        feature.names.extend(loaded.names)


def _parts(sources: Sequence[FeatureFile], options: ImportOptions) -> list[_Part]:
    """Files loaded, those of one part together; a pickle of several parts is in each."""
    beside: dict[str, dict[str, FeatureFile]] = defaultdict(dict)
    for source in sources:
        if source.what in FACTS:
            beside[source.part][source.what] = source
    parts: dict[str, list[Loaded]] = {}
    for source in sources:
        if source.what in FACTS:
            continue
        for loaded in load(source, options, beside[source.part]):
            if any(loaded.source.store == other.source.store for other in parts.get(loaded.part, [])):
                raise ConfigError(
                    f"two files for the store {source.store} of the same part",
                    action=f"Give one of them a name of its own: {source.what}:NAME=FILE.",
                )
            parts.setdefault(loaded.part, []).append(loaded)
    for part, facts in beside.items():
        if facts and part not in parts:
            raise ConfigError(f"--{part or 'features'} has no features", expected="text=FILE, audio=FILE or visual=FILE")
    return [_Part(name, loaded) for name, loaded in parts.items()]


def _ids(part: _Part, options: ImportOptions, table: Table | None) -> list[list[str]]:
    """Utterance ids of each file's rows."""
    without = [loaded for loaded in part.loaded if loaded.ids is None]
    if not without:
        return [loaded.ids for loaded in part.loaded if loaded.ids is not None]
    first = without[0]
    if not (options.rows or first.dialogues):
        raise ConfigError(
            f"{first.name} does not say which utterance a row is of",
            expected="an id in every row (--id COLUMN, or ids=FILE)",
            action="If row k of every file is the same utterance, say so: --rows.",
        )
    for loaded in part.loaded:
        if len(loaded.values) != len(first.values):
            raise CorpusError(
                f"{loaded.name} and {first.name} are not aligned by row",
                expected=f"{len(first.values)} rows in both",
                found=f"{len(loaded.values)}",
            )
        _same(loaded, first, "turns of the dialogues", loaded.facts.get("dialogue"), first.facts.get("dialogue"))
        labels = [options.labels(each.labels, each.name) for each in (loaded, first)]
        _same(loaded, first, "labels", *labels)
    given = next((loaded.ids for loaded in part.loaded if loaded.ids is not None), None)
    ids = given or _of_table(part, len(first.values), table) or _made(part, first)
    return [loaded.ids or ids for loaded in part.loaded]


def _same(loaded: Loaded, first: Loaded, what: str, here: list[Any] | None, there: list[Any] | None) -> None:
    """Compare labels of files that are joined by row: a difference is the only sign that rows are not the same."""
    if here is None or there is None or here == there:
        return
    row = next((k for k, pair in enumerate(zip(here, there, strict=True)) if not same_label(*pair)), None)
    if row is None:
        return
    raise CorpusError(
        f"{loaded.name} and {first.name} are not aligned by row",
        expected=f"the same {what} in both",
        found=f"{here[row]} and {there[row]} in row {row + 1}",
        action="If a column is not a label, do not name it with --label.",
    )


def _of_table(part: _Part, count: int, table: Table | None) -> list[str] | None:
    if table is None:
        return None
    frame = table.frame[table.frame["split"] == part.name] if part.name else table.frame
    if len(frame) != count:
        raise CorpusError(
            f"{part.loaded[0].name}: {count} rows",
            expected=f"{len(frame)}, as the table of {table.dataset} has {'in ' + part.name if part.name else 'in all'}",
            action="Without --rows, with ids, a file may have other rows than the table.",
        )
    return list(frame["utterance_id"])


def _made(part: _Part, first: Loaded) -> list[str]:
    """Ids made of the part and the row, or of the dialogue and the turn."""
    if first.dialogues:
        turns = zip(first.facts["dialogue"], first.facts["turn"], strict=True)
        return [f"{dialogue}-{turn:03d}" for dialogue, turn in turns]
    width = max(4, len(str(len(first.values))))
    return [f"{part.name or 'row'}-{k:0{width}d}" for k in range(1, len(first.values) + 1)]


def _rows(part: _Part, ids: list[list[str]], options: ImportOptions) -> dict[str, RawRow]:
    """Rows of the utterance table, made of what the part's files say of each utterance."""
    rows: dict[str, RawRow] = {}
    for loaded, own in zip(part.loaded, ids, strict=True):
        for utterance in own:
            rows.setdefault(utterance, {"utterance_id": utterance, **({"split": part.name} if part.name else {})})
        for utterance, label in zip(own, loaded.labels or (), strict=False):
            named = options.cells(label, loaded.name)
            column, cell = next(iter(named.items()))  # its class, or its rating
            known = rows[utterance].get(column, cell)
            if not same_label(known, cell):
                raise CorpusError(
                    f"{loaded.name}: the label of {utterance}", expected=f"{known!r}, as in the other files", found=repr(cell)
                )
            rows[utterance].update({column: known} if cell is None else named)
        for column, cells in loaded.facts.items():
            for utterance, cell in zip(own, cells, strict=True):
                rows[utterance].setdefault(column, _cell(column, cell, part.name, loaded.name))
    return rows


def _cell(column: str, cell: Any, part: str, where: str) -> Any:
    word = str(cell).strip().lower()
    if column == "gender":
        return GENDERS.get(word, "")
    if column == "split" and word and word not in SPLITS:
        raise CorpusError(f"{where}: split {str(cell)!r}", expected=f"one of {', '.join(SPLITS)}")
    return SPLITS.get(word, part) if column == "split" else cell
