"""The record of a system that was not trained here: the same summary, runs and predictions as of a head."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audit.sharing import without_epoch
from ser.audit.split_data import SplitData, split_data
from ser.errors import ConfigError, CorpusError
from ser.evaluation.systems.answers import Answers
from ser.evaluation.systems.joining import Joined, join, lacking
from ser.evaluation.systems.label_map import by_class, map_labels
from ser.features.tensors import Tensors
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.labels import load_scheme
from ser.metadata.parsing import few
from ser.results.records.model import Sizes
from ser.results.records.names import config_hash
from ser.results.result import Result
from ser.results.stored.runs import write_record, write_run
from ser.results.stored.summary import FinishedExperiment, notes_of, summarise
from ser.train.runs.identity import identity, name_and_file
from ser.train.runs.job import Run
from ser.train.runs.predictions import prediction_rows, scored_run
from ser.workspace import Workspace

ERROR, DROP = "error", "drop"
MISSING = f"test utterances without a prediction: {ERROR}; {DROP}: they are left out; a class: they count as that class"


@dataclass(frozen=True)
class System:
    """A system that gave answers.

    Attributes:
        word: of the record's name: `import`, `classify`.
        name: of the system, in place of a head's.
        facts: of the record's `data` and configuration: what decides the answers.
        stamps: sentences that its record must carry.
    """

    word: str
    name: str
    facts: Mapping[str, Any]
    stamps: Sequence[str]

    def as_dict(self) -> dict[str, Any]:
        """The part of the record's configuration on the system."""
        return {"head": self.name, self.word: dict(self.facts)}


@dataclass(frozen=True)
class RecordOptions:
    """The options of a record of a system.

    Attributes:
        scheme, protocol, folds: as of `ser fit`.
        labels: the stated map of labels, see `label_map.read_map`.
        missing: see `MISSING`.
        output: the file of the record; None names it after the system.
        command: of the record.
        seconds: the time that the system took.
        device: where it ran.
    """

    scheme: str = "4"
    protocol: str | None = None
    folds: FoldOptions = field(default_factory=FoldOptions)
    labels: Mapping[str, str | None] = field(default_factory=dict)
    missing: str = ERROR
    output: Path | None = None
    command: str = ""
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    seconds: float = 0.0
    device: str = "cpu"


def plain_name(name: str) -> str:
    """A system's name as a part of a file's.

    >>> plain_name("gpt 4o/mini")
    'gpt-4o-mini'
    """
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).strip("-.") or "system"


def write_answers(
    answers: Answers, data: Tensors, system: System, options: RecordOptions, space: Workspace, where: str
) -> tuple[Result, dict[str, int]]:
    """Write the record of a system's answers.

    Args:
        data: rows and labels under the options' scheme.
        where: the answers are from, for errors.

    Returns:
        The summary, as written, and the number of answers that were not used, by reason.

    Raises:
        ConfigError: a label stands for no known class, or an option does not fit.
        CorpusError: utterances are unknown, are predicted twice, or lack a prediction.
    """
    scheme = load_scheme(options.scheme, data.table.frame)
    mapping = map_labels(answers.words, scheme, data.classes, options.labels)
    setup = split_data(data, options.protocol, options.folds, "none", options.scheme)
    shares = by_class(answers, data.classes, mapping)
    joined = join(answers, data, setup.folds, where)
    missing = lacking(joined, setup.folds, shares)
    outside = [word for word, name in mapping.items() if not name]
    stamps: list[str] = []
    if outside:
        stamps.append(
            f"the system has labels that are no class of {data.dataset} under scheme {scheme.name}: {few(outside)}; its choice "
            "is made among the classes alone"
        )
    if missing:
        why = f"; labels that are no class: {few(map(repr, outside))}" if outside and not answers.names else ""
        setup, more = _without(missing, setup, options, joined, where, why)
        stamps += more
    stamps = [*without_epoch(setup.stamps), *system.stamps, *stamps]
    labels = {word: name or None for word, name in mapping.items()}
    facts = {**system.facts, "labels": labels, "missing": options.missing}
    asked = System(system.word, system.name, facts, ())
    setup.facts[system.word] = facts
    config = identity(asked, 0, setup.facts)
    words = [system.word, data.dataset, plain_name(system.name), setup.protocol, Path(options.scheme).stem]
    name, path = name_and_file(space, options.output, words, config)
    seconds = round(options.seconds / (len(joined.runs) * len(setup.folds)), 3)
    labels_alone = not answers.names
    done = [
        _run(name, config, setup, joined, shares, run, number, options.missing, seconds, labels_alone)
        for run in joined.runs
        for number in range(len(setup.folds))
    ]
    for one in done:
        write_run(path.with_suffix(""), one.record, one.predictions)
    finished = FinishedExperiment(
        experiment=name,
        command=options.command,
        config=config,
        data=setup.facts,
        stamps=stamps,
        runs=[one.record for one in done],
        predictions=pd.concat([one.predictions for one in done], ignore_index=True),
        classes=list(data.classes),
        started=options.started,
        seconds=sum(one.record.seconds for one in done),
        device=options.device,
        folder=path.stem,
    )
    summary = write_record(path, summarise(finished, notes=notes_of(done)))
    return Result.of(summary, path), dict(joined.unused)


def _without(
    missing: Mapping[tuple[int, int, str], Sequence[int]],
    setup: SplitData,
    options: RecordOptions,
    joined: Joined,
    where: str,
    why: str,
) -> tuple[SplitData, list[str]]:
    """The data, with utterances without a prediction treated as the options say, and the sentences on that."""
    ids = setup.data.frame["utterance_id"].to_numpy()
    run, number, part = next(iter(missing))
    total = sum(len(fold.parts()[part]) for fold in setup.folds)
    without = sorted({k for (_, _, of), rows in missing.items() for k in rows if of == part})
    few_ids = few((str(ids[k]) for k in without), 3)
    if options.missing in setup.data.classes:
        return setup, [f"{len(without)} of {total} {part} utterances had no prediction, and count as {options.missing}{why}"]
    if options.missing not in (ERROR, DROP):
        raise ConfigError(f"--missing {options.missing}", expected=f"{ERROR}, {DROP} or one of {', '.join(setup.data.classes)}")
    if options.missing == ERROR or any(of == "validation" for _, _, of in missing):
        refill = f"--missing {DROP}, which leaves them out of the test (stamped)" if part == "test" else "no validation rows"
        raise CorpusError(
            f"{where}: {len(without)} of {total} {part} utterances have no prediction, {few_ids} (run {run}, fold "
            f"{setup.folds[number].name}){why}",
            expected="a prediction of each",
            action=f"Add them; or give --missing CLASS, which counts them as that class, or {refill}.",
        )
    again = split_data(
        setup.data, setup.protocol, options.folds, "none", options.scheme, untested=[str(ids[k]) for k in without]
    )
    return again, [f"left out: {len(without)} of {total} test utterances had no prediction{why}"]


def _run(
    experiment: str,
    config: dict[str, Any],
    setup: SplitData,
    joined: Joined,
    shares: NDArray[np.float64],
    run: int,
    number: int,
    missing: str,
    seconds: float,
    labels_alone: bool,
) -> Run:
    """The record of a run on a fold, and its predictions."""
    fold, data = setup.folds[number], setup.data
    frames = []
    for part in ("validation", "test") if joined.validated else ("test",):
        of = joined.rows.get((run, number, part), {})
        rows = fold.parts()[part]
        own = np.array([shares[of[k]] if k in of else np.full(shares.shape[1], np.nan) for k in rows.tolist()])
        if missing in data.classes:
            own[np.isnan(own).any(1)] = np.eye(len(data.classes))[data.classes.index(missing)]
        frames.append(prediction_rows(data, rows, own, run=run, fold=fold.name, split=part))
    predictions = pd.concat(frames, ignore_index=True)
    notes = ["labels alone: each probability is 1 or 0, so calibration and abstention say nothing"] if labels_alone else []
    return scored_run(
        predictions,
        data.classes,
        experiment=experiment,
        config_hash=config_hash(config),
        run=run,
        fold=fold.name,
        seed=run,
        n=Sizes(train=len(fold.train), validation=len(fold.validation), test=len(fold.test)),
        seconds=seconds,
        notes=notes,
    )
