"""`ser results import`: predictions that were made elsewhere become a record."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from ser.evaluation.systems.answers import read_answers
from ser.evaluation.systems.label_map import unused_labels
from ser.evaluation.systems.recording import ERROR, RecordOptions, System, write_answers
from ser.features.tensors import load_labels
from ser.files import read_bytes
from ser.metadata import ledger
from ser.metadata.folds.fold import FoldOptions
from ser.results.result import Result
from ser.workspace import Workspace, open_workspace


def import_predictions(
    file: Path | str,
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    scheme: str | int = "4",
    protocol: str | None = None,
    folds: FoldOptions | None = None,
    name: str | None = None,
    system: str = "",
    labels: Mapping[str, str | None] | None = None,
    missing: str = ERROR,
    id_column: str | None = None,
    label: str | None = None,
    probabilities: Sequence[str] | None = None,
    output: Path | None = None,
    command: str = "ser.import_predictions",
) -> tuple[Result, list[str]]:
    """Import predictions of any system, and write the record.

    Args:
        file: CSV, TSV, Excel or JSON lines, see `ser.evaluation.systems.answers`.
        dataset: a table of the workspace.
        scheme, protocol, folds: as of `ser fit`.
        name: of the system, in place of a head's; None takes the file's.
        system: what it is, in words; a model that the ledger knows is stamped by what it has seen.
        labels: label of the system -> class, emotion, or None for no class.
        missing: test utterances without a prediction: `error`, `drop`, or the class that they count as.
        id_column, label, probabilities: names of columns; None finds them by their usual names.
        output: the file of the record; None names it after the system.

    Returns:
        The summary, as written, and remarks on what of the file is not used.

    Raises:
        ConfigError, CorpusError: the file, its labels or its utterances do not fit.
    """
    path, space = Path(file), open_workspace(workspace)
    answers = read_answers(path, id_column, label, probabilities)
    data = load_labels(dataset, space, scheme=scheme)
    name = name or path.name.partition(".")[0]
    facts = {
        "file": path.name,
        "sha256": hashlib.sha256(read_bytes(path)).hexdigest(),
        "system": system,
        "probabilities": bool(answers.names),
    }
    which = f"{name} ({system})" if system else name
    seen = ledger.classifier_stamps(data.table.facts, which, system) if ledger.entry(system) else []
    unknown = (
        f"imported predictions: {which}; what trained it is not known here: if labels of these test utterances did, its "
        "scores mislead"
    )
    options = RecordOptions(
        scheme=str(scheme),
        protocol=protocol,
        folds=folds or FoldOptions(),
        labels=labels or {},
        missing=missing,
        output=output,
        command=command,
    )
    known = System("import", name, facts, [unknown, *seen])
    result, unused = write_answers(answers, data, known, options, space, str(path))
    remarks = unused_labels(labels or {}, answers.words)
    remarks += [f"not used: {number} predictions {reason}" for reason, number in unused.items()]
    if answers.unused:
        remarks.append(f"columns that are not read: {', '.join(answers.unused)}")
    return result, remarks
