"""The record of an evaluation: its opening, its place, its notes, and the tables beside it."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from ser.audit.split_data import tested_only
from ser.evaluation.evaluated_model import EvaluatedModel, EvaluationOptions, Key
from ser.evaluation.predictions import EvaluatedPredictions
from ser.features.normalise import STAMPS
from ser.files import require_new_beside
from ser.jsonfile import TableFile
from ser.metadata import languages, ledger
from ser.metadata.table import Table, load_table
from ser.metadata.targets import DIMENSIONS
from ser.results.metrics import evaluation
from ser.results.metrics.calibration import BINS, is_bound
from ser.results.metrics.classification import class_scores, confusion
from ser.results.metrics.conformal import unlimited
from ser.results.metrics.intervals import known_mean
from ser.results.metrics.measures import Labels, measure_of
from ser.results.metrics.outputs import BINS as OUTPUT_BINS
from ser.results.records.environment import environment
from ser.results.records.evaluation import (
    DataOfEvaluation,
    EvaluatedClass,
    Evaluation,
    EvaluationOpening,
    FittedTemperature,
    ModelOfEvaluation,
    NumbersTable,
    OutputEvaluation,
    Temperatures,
)
from ser.results.records.kinds import refuse_to_replace
from ser.results.records.names import EVALUATION_SCHEMA, OUTPUT_EVALUATION_SCHEMA
from ser.results.records.numbers import Confusion
from ser.workspace import Workspace, writing

LONG = 80
EXPLANATIONS = "explanations"  # the folder beside a record


def opening(predictions: EvaluatedPredictions, command: str, table: Table | None) -> EvaluationOpening:
    """The opening of the record: the model, the data, and what a reader must know."""
    model, test = predictions.model, predictions.test
    one = test.drop_duplicates("utterance_id")
    corpus, of_outputs = predictions.corpus, "true" not in test
    stores = {} if corpus is None else corpus.data.stores
    return EvaluationOpening(
        schema=OUTPUT_EVALUATION_SCHEMA if of_outputs else EVALUATION_SCHEMA,
        experiment=model.name,
        command=command,
        model=ModelOfEvaluation(
            kind="head" if model.single else "experiment",
            record=None if model.summary is None else model.path.name,
            config_hash=None if model.summary is None else model.summary.config_hash,
            runs=int(test["run"].nunique()),
            folds=int(test["fold"].nunique()),
            heads=len(model.heads),
            amount=model.amount or None,
        ),
        data=DataOfEvaluation(
            dataset=predictions.dataset,
            own=predictions.own,
            rows="recorded test rows of each fold" if predictions.own else "all, predicted by each saved head",
            scheme=predictions.scheme,
            utterances=len(one),
            classes={c: _number_of(one, c) for c in model.classes},
            dropped={} if predictions.own or corpus is None else corpus.data.dropped,
            table=None if table is None else TableFile(path=f"metadata/{predictions.dataset}.csv", sha256=table.sha256),
            stores={n: {k: s[k] for k in ("path", "features_sha256", "identity")} for n, s in stores.items()},
        ),
        unit="run" if predictions.own else "head",
        bins=OUTPUT_BINS if of_outputs else BINS,
        stamps=list(dict.fromkeys(_stamps(predictions))),
        environment=environment(predictions.resources.device, trained=False),
    )


def _number_of(one: pd.DataFrame, output: str) -> int:
    """The number of utterances of a class, or with a label; of a dimension of those that are rated, which is all."""
    if "true" in one:
        return int((one["true"] == output).sum())
    return int(one[f"{Labels.truth}{output}"].sum()) if f"{Labels.truth}{output}" in one else len(one)


def _stamps(predictions: EvaluatedPredictions) -> list[str]:
    model = predictions.model
    if predictions.own:
        return model.stamps
    data, head = predictions.features.data, model.first_head
    stamps = tested_only(model.stamps) + ledger.encoder_stamps(data.table.facts, data.stores)
    how = str(head.about.normalize)
    stamps += [STAMPS[how]] if how in STAMPS and not head.statistics else []
    if predictions.left_out:
        stamps.append(f"left out: {predictions.left_out} utterances whose audio is in a corpus that was trained on")
    return stamps + _cross_language(predictions)


def _cross_language(predictions: EvaluatedPredictions) -> list[str]:
    """The stamp of a corpus that shares no language with those of the heads; none where this workspace lacks one of these."""
    space, corpora = predictions.space, predictions.model.corpora
    if not set(corpora) <= set(space.datasets()):
        return []
    trained = {word for name in corpora for word in languages.spoken(load_table(name, space).frame)}
    return languages.stamps(sorted(trained), languages.spoken(predictions.features.data.frame))


def counts(predictions: EvaluatedPredictions) -> tuple[Confusion, dict[str, EvaluatedClass]]:
    """The confusion counts over all runs and heads, and the scores of each class, means over these as in a summary."""
    classes = predictions.model.classes
    rows = evaluation.units(predictions.test, predictions.own).groupby("run")
    each = np.stack([confusion(own["true"].to_numpy(), own["predicted"].to_numpy(), classes) for _, own in rows])
    scores = class_scores(each)
    support = scores.pop("support").sum(axis=0)
    by_class = {
        name: EvaluatedClass(**{score: known_mean(v[:, k]) for score, v in scores.items()}, support=int(support[k]))
        for k, name in enumerate(classes)
    }
    return Confusion(labels=classes, counts=each.sum(axis=0).tolist()), by_class


def temperatures(predictions: EvaluatedPredictions, found: evaluation.Temperatures) -> Temperatures:
    """Each temperature and the predictions that it was fitted on; and if heads were then trained again."""
    size = predictions.held_out.groupby(["run", "fold"]).size()
    values = [FittedTemperature(run=run, fold=fold, n=int(size[run, fold]), temperature=t) for (run, fold), t in found.items()]
    numbers = list(found.values())
    corpora = predictions.validated
    aim = " and their votes" if measure_of(predictions.held_out).kind == "votes" else ""
    return Temperatures(
        fitted_on=f"validation predictions{aim} of the same run and fold, of {' and '.join(corpora)}",
        corpora=corpora,
        refitted=_trained_again(predictions, found),
        mean=sum(numbers) / len(numbers),
        min=min(numbers),
        max=max(numbers),
        at_bound=sum(map(is_bound, numbers)),
        values=values,
    )


def _trained_again(predictions: EvaluatedPredictions, keys: Iterable[Key]) -> bool:
    """True if heads were trained again after validation, on validation too."""
    return any("trained again" in str(predictions.model.record(key).selection) for key in keys)


def notes(predictions: EvaluatedPredictions, options: EvaluationOptions) -> list[str]:
    """Warnings of temperatures, thresholds and limits that may not fit the tested corpus; the notes of the heads themselves."""
    found = []
    corpora = predictions.validated
    if corpora not in ([], [predictions.dataset]):
        some = "the temperature and the thresholds of abstention come"
        what = some if options.calibrate else "thresholds of abstention come"
        if "true" not in predictions.test:
            what = "limits of intervals, if there are any, come"
        together = predictions.dataset in corpora
        other = "together" if together else f"not of {predictions.dataset}, and may not fit it"
        found.append(f"{what} from validation predictions of {' and '.join(corpora)}, {other}")
    found += [] if predictions.corpus is None else list(predictions.model.first_head.notes)
    return found + ([] if options.conformal is None else _conformal_notes(predictions, options.conformal))


def _conformal_notes(predictions: EvaluatedPredictions, coverage: float) -> list[str]:
    """Notes on conformal sets and intervals: too few validation utterances; heads that were trained again after validation."""
    found = [note for note in [unlimited(predictions.held_out, coverage)] if note]
    if _trained_again(predictions, (key for key, _ in evaluation.by_head(predictions.held_out))):
        what = "intervals" if predictions.model.learns.kind == DIMENSIONS else "sets"
        found.append(f"heads were trained again on training and validation: the limits of the {what} are of the heads before")
    return found


def place(model: EvaluatedModel, space: Workspace, output: Path | None, options: EvaluationOptions) -> Path:
    """The file of the record: beside the summary, named after the options, so that no evaluation replaces another.

    Args:
        output: a file that was named; None makes the name, in which the scheme of the record has no place.

    Raises:
        ConfigError: `output` does not end in `.json`, is something else than an evaluation, or is new and one of the tables
            beside it would take the place of another file.
    """
    if output is not None:
        refuse_to_replace(output, Evaluation, OutputEvaluation)
        own = (options.dataset or model.tested) in (None, *model.corpora)
        names = ["tta"] * options.tta + ["suite"] * options.suite + ["predictions"] * (not own)
        names += [f"novelty-{safe(kind)}" for kind in options.novelty]
        folders = [beside(output, EXPLANATIONS)] if options.explain else []
        require_new_beside(output, *(beside(output, f"{name}.csv") for name in names), *folders)
        return output
    amount, examples = model.amount.replace("%", "pct").replace(" ", ""), options.examples
    words = [options.dataset or model.tested or "", _scheme_word(options.scheme, model), amount]
    words += ["calibrated" * options.calibrate, "tta" * options.tta]
    words.append("" if options.conformal is None else f"conformal-{options.conformal:g}")
    words.append("-".join(["suite", *(options.views or ()), *options.limits]) if options.suite else "")
    words.append("novelty-" * bool(options.novelty) + "+".join(options.novelty))
    words.append("" if not options.explain else "explained" if examples == 1 else f"explained-{examples}")
    ending = "-".join(safe(word) for word in words if word)
    if len(ending) > LONG:  # file systems limit the length of a name
        ending = f"{ending[:LONG]}-{hashlib.sha256(ending.encode()).hexdigest()[:8]}"
    folder = space.results if model.summary is None else model.path.parent
    return folder / f"{model.name}.evaluation-{ending}.json"


def _scheme_word(scheme: str | None, model: EvaluatedModel) -> str:
    """Another label scheme than the record's, as part of a name; a file by its name and content."""
    if scheme is None or scheme == model.scheme:
        return ""
    file = Path(scheme)
    if not file.is_file():
        return f"scheme-{scheme}"
    return f"scheme-{file.stem}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"


def safe(word: str) -> str:
    """Make a word that can be part of a file's name; words of other alphabets, which would be alike, keep their hash.

    >>> safe("emotion:anger"), safe("emotion:\N{CJK UNIFIED IDEOGRAPH-6012}")
    ('emotion_anger', 'emotion_-2e1ecf')
    """
    made = re.sub(r"[^A-Za-z0-9+_.-]+", "_", word)
    return made if word.isascii() else f"{made}-{hashlib.sha256(word.encode()).hexdigest()[:6]}"


def beside(record: Path, ending: str) -> Path:
    """A file or folder beside a record, whose name begins with the record's."""
    return record.with_name(f"{record.name.removesuffix('.json')}.{ending}")


def write_tables(path: Path, files: dict[str, pd.DataFrame]) -> dict[str, NumbersTable]:
    """Write CSV files beside the record, from which its numbers were made; return their names, sizes and hashes."""
    found = {}
    for name, table in files.items():
        file = beside(path, f"{name}.csv")
        columns = {c: "float32" for c in table.columns if c.startswith("p_")}
        content = table.astype(columns).to_csv(index=False, lineterminator="\n", float_format="%.7g").encode()
        with writing(file) as temporary:
            temporary.write_bytes(content)
        found[name] = NumbersTable(path=file.name, rows=len(table), sha256=hashlib.sha256(content).hexdigest())
    return found
