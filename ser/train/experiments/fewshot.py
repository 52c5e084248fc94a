"""`fewshot`: the worth of labelled target data to a source model: curves over its amount, one for each method.

The source model is trained once per seed, for all folds, amounts and methods; it is that of `ser adapt`'s source only. From it
each method learns from nested, stratified subsets of each fold's training part; the target's validation part is not used, as
those labels would be shots that are not counted. Percentage 0 is the source model itself, zero-shot. Without a source, heads
start from random weights, and dimensions are learned on the stated scale of the ratings: their mean and deviation are those of
utterances that have no rating yet.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import UNSET, UnsetType

from ser.audit.sharing import without_epoch
from ser.audit.split_data import SplitData, split_data
from ser.errors import ConfigError
from ser.metadata.folds.fold import Fold
from ser.metadata.targets import EMOTION, parse_target
from ser.registry import words
from ser.results.records.model import CorpusNumbers, FewshotSummary, SourceModel
from ser.results.records.names import amount_name, amount_of, amount_value
from ser.results.result import Result
from ser.results.statistics.gains import by_amount
from ser.results.stored.summary import summarise_fewshot
from ser.results.studies.fewshot import Method, Point, Source, Study, ZeroShot, labels_saved
from ser.train.classical.learner import refuse_words
from ser.train.experiments.study import StudyFields, Variant, study
from ser.train.fewshot.job import Shots, fewshot_job, make_shots
from ser.train.fewshot.methods._base import check_methods, method
from ser.train.fewshot.scheduler import train_methods
from ser.train.fewshot.shots import amounts
from ser.train.option import check_number, check_numbers, check_whole
from ser.train.runs.experiment import Experiment, make_experiment
from ser.train.runs.identity import identity, parts_from_outside
from ser.train.runs.joined_corpora import load, scheme_of, target_of
from ser.train.runs.options import FitOptions, read_options, with_options
from ser.train.runs.plan import device_of
from ser.train.runs.recipe import Recipe, make_recipe
from ser.train.runs.source_target import prepare_pair
from ser.workspace import Workspace

PLAIN = "finetune"  # the method whose record is named after the command alone
TUNE_EPOCHS, LR_FACTOR = 30, 0.3  # of fine-tuning
OWN = "normalised by all of the target's training part, of which only the stated share has labels"


class FewshotExperiment(Experiment):
    """One method's experiment: its runs differ in the amount of target data too."""

    def sort(self) -> None:
        """Put each finished run once in the order of amounts, runs and folds."""
        order = {fold.name: number for number, fold in enumerate(self.folds)}
        by_key = {
            (amount_value(amount_name(**amount_of(run.record))), run.record.run, order[run.record.fold]): run
            for run in self.done
        }
        self.done = [by_key[key] for key in sorted(by_key)]

    def make_summary(self, datasets: dict[str, CorpusNumbers] | UnsetType = UNSET) -> FewshotSummary:
        return summarise_fewshot(self.finished(), notes=self.notes)


@with_options("save", "refit", "target")
def fewshot(
    target: str,
    source: str | None = None,
    workspace: Workspace | str | Path = ".",
    *,
    methods: str | Sequence[str] = PLAIN,
    percentages: float | Sequence[float] | None = None,
    shots: int | Sequence[int] | None = None,
    speaker_aware: bool = False,
    head: str = "mlp",
    learns: str = EMOTION,
    tune_epochs: int | None = None,
    lr_factor: float | None = None,
    freeze: str = "none",
    **options: Any,
) -> Result:
    """Measure the curve over the amount of labelled target data, of one method or of several on the same shots.

    `protocol` and the options of folds are the target's. With `normalize="train"` both corpora are standardised by the source's
    training utterances; without a source, by the target's training part, without its labels.

    Args:
        target, source: datasets of the workspace with the same features; no source trains from random weights.
        methods: plugins of `ser.train.fewshot.methods`.
        percentages, shots: of each class of the target's training part, each fold; 10, 20, 50 and 100 % where neither is given.
            Of dimensions, for which there are no classes, of all utterances.
        speaker_aware: one speaker is used up before the next, see `ser.train.fewshot.shots.subsets`.
        learns: what heads learn, as `target` of `ser.fit`: a class, votes, labels or dimensions.
        tune_epochs, lr_factor, freeze: of fine-tuning from a source: epochs (None: 30), share of the learning rate (None: 0.3),
            and `none` or `encoder`, the part that does not learn.

    Returns:
        The summary of the method, as written; of several methods the study (`ser.results.studies.fewshot.Study`), each of
        which has its summary.

    Raises:
        StoreError: the two corpora's features are not of the same encoder.
        ConfigError: they share fewer than two classes, or an option that does not fit.
    """
    for name in ("save", "refit"):
        if options.pop(name, None) not in (None, False, "auto"):
            raise ConfigError(
                "few-shot heads are neither saved nor trained again", action="Leave save and refit out; see ser finetune."
            )
    given = read_options(fewshot, workspace, head, options, learns)
    kind = parse_target(given.target).kind
    recipe = make_recipe(given.head, **given.training, **({} if kind == EMOTION else {"target": kind}))
    context = getattr(recipe, "context", "utterance")
    names = check_methods(words("methods", methods) or (), given.head, source, context, kind)
    for name, value in {"tune_epochs": tune_epochs, "lr_factor": lr_factor}.items():
        if source is None and value is not None:
            raise ConfigError(f"{name} = {value} without a source", expected="a source, from which a head is fine-tuned")
    epochs = TUNE_EPOCHS if tune_epochs is None else check_whole("tune_epochs", tune_epochs)
    factor = LR_FACTOR if lr_factor is None else check_number("lr_factor", lr_factor)
    device_of(recipe, given.device)
    asked = amounts(
        None if percentages is None else check_numbers("percentages", percentages),
        None if shots is None else [check_whole("shots", n) for n in check_numbers("shots", shots)],
    )
    drawn = make_shots(recipe, source, asked, speaker_aware, epochs, factor, freeze)
    experiments, first = fewshot_experiments(target, source, names, recipe, drawn, given)
    job = fewshot_job(experiments, drawn, first)
    plain = next(iter(experiments.values()))
    if len(names) == 1:
        train_methods(job, experiments, given, plain.name)
        return given.result(plain.summarise())
    return study(
        [Variant(name, experiment) for name, experiment in experiments.items()],
        given,
        words=_words("fewshot-methods", plain.setup),
        config={**{k: v for k, v in plain.config.items() if k != "method"}, "methods": names},
        data=plain.setup.facts,
        stamps=plain.stamps,
        record=lambda fields, path: _record(experiments, fields, path),
        train=lambda _, options, label: train_methods(job, experiments, options, label),
        seconds=lambda: _seconds(experiments),
    )


def fewshot_experiments(
    target: str, source: str | None, methods: Sequence[str], recipe: Recipe, shots: Shots, options: FitOptions
) -> tuple[dict[str, Experiment], Fold | None]:
    """The experiment of each method, and the training on the source where there is one.

    Args:
        options: `output` is of the only method's summary, or of the study of several.
    """
    setup, first = _prepare(target, source, options)
    if source is None and any(method(name).READS_EMBEDDING for name in methods):
        refuse_words(setup.data.blocks, "a method on pooled features")
    common = identity(
        recipe,
        options.seed,
        *setup.facts["datasets"].values(),
        limit=options.limit,
        tuning=shots.tuning.as_dict(),
        percentages=[a.percentage for a in shots.amounts if a.shots is None],
        shots=[a.shots for a in shots.amounts if a.shots is not None],
        speaker_aware=shots.speaker_aware,
    )
    own = options if len(methods) == 1 else replace(options, output=None)
    experiments: dict[str, Experiment] = {}
    for name in methods:
        words, config = _words("fewshot" if name == PLAIN else f"fewshot-{name}", setup), {**common, "method": name}
        config |= parts_from_outside(config)
        kind = FewshotExperiment
        experiments[name] = make_experiment(setup, recipe, config, words, own, setup.stamps, kind=kind)
    return experiments, first


def _prepare(target: str, source: str | None, options: FitOptions) -> tuple[SplitData, Fold | None]:
    """Data and folds of the target, joined with the source where there is one, and the training on the source."""
    if source is not None:
        pair = prepare_pair(source, target, options)
        return replace(pair.setup, stamps=without_epoch(pair.setup.stamps)), pair.first
    data = load(target, options)
    setup = split_data(data, options.protocol, options.fold_options, options.normalize, scheme_of(data, options))
    facts = {
        "source": None,
        "target": target,
        **target_of(data),
        "scheme": scheme_of(data, options),
        "protocol": setup.protocol,
        "normalize": options.normalize,
        "datasets": {target: setup.facts},
    }
    stamps = without_epoch(setup.stamps) + ([OWN] if options.normalize == "train" else [])
    return replace(setup, facts=facts, stamps=stamps), None


def _words(first: str, setup: SplitData) -> list[str]:
    return [first, *(setup.facts[key] for key in ("source", "target") if setup.facts[key])]


def _record(experiments: Mapping[str, Experiment], fields: StudyFields, study: Path) -> Study:
    """The record of several methods: their curves, comparisons at each amount, and the labels that they save."""
    summaries = {name: _summary(e) for name, e in experiments.items()}
    methods = [_method(name, e, summaries[name], study) for name, e in experiments.items()]
    source = next((_source(s.source) for s in summaries.values() if s.source), None)
    first = next(iter(experiments.values()))
    return Study(
        **fields,
        methods=methods,
        source=source,
        reference=next(iter(experiments)),
        comparisons=by_amount({name: e.done for name, e in experiments.items()}, list(first.job.classes)),
        saved_labels=labels_saved(methods, source),
    )


def _summary(experiment: Experiment) -> FewshotSummary:
    assert isinstance(experiment.summary, FewshotSummary)
    return experiment.summary


def _method(name: str, experiment: Experiment, summary: FewshotSummary, study: Path) -> Method:
    curve = [
        Point(amount=amount, n_samples=p.n_samples, n_speakers=p.n_speakers, test=p.test, pooled=p.pooled)
        for amount, p in summary.percentages.items()
    ]
    return Method(name=name, **experiment.reference(study), curve=curve)


def _source(found: SourceModel) -> Source:
    numbers = found.zero_shot
    return Source(zero_shot=ZeroShot(test=numbers.test, pooled=numbers.pooled), validation=found.validation)


def _seconds(experiments: Mapping[str, Experiment]) -> float:
    """The time of all training; the source models, which are in each method's record, count once."""
    runs = [[run.record for run in experiment.done] for experiment in experiments.values()]
    alone = sum(record.seconds for own in runs for record in own if record.percentage != 0)
    source = [sum(record.seconds for record in own if record.percentage == 0) for own in runs]
    return float(alone + max(source))
