"""`benchmark`: `fit` with everything fixed as a published benchmark has it, and what is missing for it."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from ser import registry
from ser.audit.split_data import SplitTable, split_table
from ser.errors import ConfigError, SerError
from ser.features.store_selection import open_stores
from ser.jsonfile import read_object
from ser.metadata.corpus import CORPORA
from ser.metadata.folds.fold import Fold, FoldOptions
from ser.metadata.folds.fold_file import write_folds
from ser.metadata.table import Table, load_table
from ser.registry import words
from ser.results.benchmarks import Preset, preset
from ser.results.result import Result
from ser.train.experiments.fit import fit
from ser.workspace import Workspace, open_workspace


def benchmark(
    name: str,
    workspace: Workspace | str | Path = ".",
    *,
    dataset: str | None = None,
    audio: str | Sequence[str] | None = None,
    text: str | Sequence[str] | None = None,
    runs: int | None = None,
    device: str = "auto",
    jobs: int | None = None,
    backend: str | None = None,
    address: str | None = None,
    shard: str | None = None,
    command: str | None = None,
    quiet: bool = True,
) -> Result:
    """Fit the head of a benchmark on stored features, and write the record; see `ser.results.benchmarks`.

    Args:
        name: of a preset.
        dataset: the table with the corpus; None: the one that is called as the corpus.
        audio, text: stores, by encoder or store name.
        runs: seeds; None: the preset's.
        device, jobs, backend, address, shard: as of `ser.fit`.
        command: as the record has it; `ser.benchmark NAME` unless another is given.

    Returns:
        The summary, as written.

    Raises:
        ConfigError: there is no such benchmark, a corpus, rows or features are missing (all that is missing is named), or the
            whole corpus is there and split otherwise than the benchmark's.
    """
    own, space = preset(name), open_workspace(workspace)
    _refuse_corpus(own, space, dataset or own.corpus)
    given: dict[str, Any] = {**own.options, "audio": audio, "text": text, "runs": runs or own.runs}
    given |= {"device": device, "jobs": jobs, "backend": backend, "address": address, "shard": shard}
    try:
        if own.folds is not None or own.sha256:
            table = load_table(dataset or own.corpus, space)
            given |= _fold_file(own, table, fold_file(name, own, space, dataset))
            _refuse_split(own, _split(own, table, given.get("fold_file")))
        command = command or f"ser.benchmark {name}"
        return fit(dataset or own.corpus, space, command=command, quiet=quiet, **given)
    except SerError as error:
        lacking = missing(own, space, dataset, audio, text)
        if not lacking:
            raise
        raise ConfigError(f"benchmark {name} cannot be run", found="; ".join(lacking)) from error


def fold_file(name: str, own: Preset, space: Workspace, dataset: str | None) -> Path | None:
    """The place of a benchmark's own folds in a workspace; None where a protocol makes them."""
    return None if own.folds is None else space.folds(f"{dataset or own.corpus}.{name}")


def parts_sha256(frame: pd.DataFrame, folds: Sequence[Fold], corpus: str) -> str:
    """SHA-256 of the test parts of folds, whatever the folds are called and in whichever order rows are.

    Of each fold the ids of its test utterances, sorted and parted by spaces; of these lines, sorted, the hash. EmoBox's way to
    write ids is taken for all: `_` becomes `-`, and `CORPUS-` in front is taken away.
    """
    ids = frame["utterance_id"].str.replace("_", "-").str.removeprefix(f"{corpus}-").to_numpy()
    lines = sorted(" ".join(sorted(ids[fold.test])) for fold in folds)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _fold_file(own: Preset, table: Table, file: Path | None) -> dict[str, Path]:
    """Write the folds of a benchmark that has its own; the option with their file."""
    if own.folds is None or file is None:
        return {}
    write_folds(file, own.folds(table.frame))
    return {"fold_file": file}


def _split(own: Preset, table: Table, file: Path | None) -> SplitTable:
    options = FoldOptions(own.options.get("folds"), own.options["split_seed"], file, own.options["validation"])
    return split_table(table, str(own.options["protocol"]), options, str(own.options["scheme"]))


def _refuse_split(own: Preset, split: SplitTable) -> None:
    """Refuse the whole corpus in other parts than the benchmark's; of other rows than all of it, the report says so."""
    if not own.sha256 or len(split.frame) != own.utterances:
        return
    found = parts_sha256(split.frame, split.folds, own.corpus)
    if found != own.sha256:
        raise ConfigError(
            f"the test parts of {split.table.dataset} are not those of the benchmark",
            expected=f"SHA-256 {own.sha256[:12]}... of the utterances of each fold",
            found=f"{found[:12]}...",
            action=f"Take the published folds: {_made_by(own)}",
        )


def _refuse_corpus(own: Preset, space: Workspace, dataset: str) -> None:
    """Refuse a table of another corpus, by its sidecar alone."""
    sidecar = space.table(dataset).with_suffix(".json")
    facts = read_object(sidecar, "sidecar of a table") if sidecar.is_file() else {}
    if not _is_of(own, facts):
        raise ConfigError(_other_corpus(dataset, facts, own))
    if own.votes_of and facts.get("votes_of", own.votes_of) != own.votes_of:
        raise ConfigError(
            f"the table {dataset} has the votes of {facts['votes_of']}",
            expected=f"those of {own.votes_of}",
            action=f"Make another table: {_made_by(own)} --votes {own.votes_of}",
        )


def _is_of(own: Preset, facts: Mapping[str, Any]) -> bool:
    """True for the sidecar of the corpus, also where its rows came from another format, as EmoBox's."""
    return own.corpus in (facts.get("corpus"), facts.get("source_corpus")) or facts.get("corpus") is None


def _other_corpus(dataset: str, facts: Mapping[str, Any], own: Preset) -> str:
    found = facts.get("source_corpus") or facts.get("corpus")
    return f"the table {dataset} is of {found}; --dataset names one of {own.corpus}"


def _made_by(own: Preset) -> str:
    """The command that makes the table of a benchmark: with EmoBox's folds, unless its plugin has them built in."""
    name = own.corpus
    known = name in registry.names(CORPORA)
    if own.options["protocol"] == "emobox" and not (known and hasattr(registry.load(CORPORA, name), "EMOBOX_FOLDS")):
        return f"ser metadata --dataset {name} --from EmoBox/data/{name}/{name}.jsonl --format emobox"
    return f"ser metadata --dataset {name} --root DIR"


def missing(
    own: Preset,
    workspace: Workspace | str | Path,
    dataset: str | None = None,
    audio: str | Sequence[str] | None = None,
    text: str | Sequence[str] | None = None,
) -> list[str]:
    """List what a benchmark lacks in a workspace, each with the command that makes it; [] if nothing is missing."""
    space, name = open_workspace(workspace), dataset or own.corpus
    if name not in space.datasets():
        return [f"there is no table of {own.corpus}: {_made_by(own)}"]
    table, found = load_table(name, space), []
    if not _is_of(own, table.facts):
        found.append(_other_corpus(name, table.facts, own))
    stores = [*(words("audio", audio or ()) or ()), *(words("text", text or ()) or ())]
    try:
        for store in open_stores(space, table, stores or None, None).values():
            store.close()
    except SerError as error:
        found.append(error.line())
    protocol = str(own.options["protocol"])
    try:
        with TemporaryDirectory() as folder:
            file = _fold_file(own, table, Path(folder) / "folds.csv").get("fold_file")
            _refuse_split(own, _split(own, table, file))
    except SerError as error:
        if protocol == "emobox" and error.problem.endswith("does not fit"):
            needs = f"it needs published folds, which lie in {space.folds(name)}: {_made_by(own)}"
            found.append(f"{error.problem}: {needs}")
        else:
            found.append(error.line())
    return found
