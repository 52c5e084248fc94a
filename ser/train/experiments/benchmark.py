"""`benchmark`: `fit` with everything fixed as a published benchmark has it, and what is missing for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ser.audit.split_data import split_table
from ser.errors import ConfigError, SerError
from ser.features.store_selection import open_stores
from ser.jsonfile import read_object
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.table import load_table
from ser.registry import words
from ser.results.benchmarks import Preset, preset
from ser.results.records.result import Result
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
    jobs: int | None = None,
    backend: str | None = None,
    address: str | None = None,
    command: str = "ser.benchmark",
    quiet: bool = True,
) -> Result:
    """Fit the head of a benchmark on stored features, and write the record; see `ser.results.benchmarks`.

    Args:
        name: of a preset.
        dataset: the table with the corpus; None: the one that is called as the corpus.
        audio, text: stores, by encoder or store name.
        runs: seeds; None: the preset's.
        jobs, backend, address: as of `ser.fit`.

    Returns:
        The summary, as written.

    Raises:
        ConfigError: there is no such benchmark, or a corpus, rows or features are missing; all that is missing is named.
    """
    own, space = preset(name), open_workspace(workspace)
    _refuse_corpus(own, space, dataset or own.corpus)
    given: dict[str, Any] = {**own.options, "audio": audio, "text": text, "runs": runs or own.runs}
    given |= {"jobs": jobs, "backend": backend, "address": address}
    try:
        return fit(dataset or own.corpus, space, command=command, quiet=quiet, **given)
    except SerError as error:
        lacking = missing(own, space, dataset, audio, text)
        if not lacking:
            raise
        raise ConfigError(f"benchmark {name} cannot be run", found="; ".join(lacking)) from error


def _refuse_corpus(own: Preset, space: Workspace, dataset: str) -> None:
    """Refuse a table of another corpus, by its sidecar alone."""
    sidecar = space.table(dataset).with_suffix(".json")
    found = read_object(sidecar, "sidecar of a table").get("corpus") if sidecar.is_file() else None
    if found not in (own.corpus, None):
        raise ConfigError(_other_corpus(dataset, str(found), own))


def _other_corpus(dataset: str, found: str, own: Preset) -> str:
    return f"the table {dataset} is of {found}; --dataset names one of {own.corpus}"


def missing(
    own: Preset,
    workspace: Workspace | str | Path,
    dataset: str | None = None,
    audio: str | Sequence[str] | None = None,
    text: str | Sequence[str] | None = None,
) -> list[str]:
    """What a benchmark lacks in a workspace, each with the command that makes it; [] where nothing does."""
    space, name = open_workspace(workspace), dataset or own.corpus
    if name not in space.datasets():
        return [f"there is no table of {own.corpus}: ser metadata --dataset {own.corpus} --root DIR"]
    table, found = load_table(name, space), []
    if table.facts.get("corpus") not in (own.corpus, None):
        found.append(_other_corpus(name, str(table.facts.get("corpus")), own))
    stores = [*(words("audio", audio or ()) or ()), *(words("text", text or ()) or ())]
    try:
        for store in open_stores(space, table, stores or None, None).values():
            store.close()
    except SerError as error:
        found.append(error.line())
    protocol = str(own.options["protocol"])
    try:
        split_table(table, protocol, FoldOptions(), str(own.options["scheme"]))
    except SerError as error:
        beside = f", which lie in {space.folds(name)}" if protocol == "emobox" else ""
        found.append(f"{error.problem}: it needs {'published folds' if beside else error.expected}{beside}")
    return found
