"""`transfer`: a source's head on a target corpus, without any target data (zero-shot); and the common parts of all transfers.

`ser transfer` trains the variant `source only`, by which `ser adapt` and `ser finetune` measure their gains, and has the same
records. All variants of such a study have the same seeds, the same test utterances of the target, and records of their own,
which are used again where they are there. Each is compared with the source's head alone, in pairs; runs change places as
a whole in the tests, because one source head is tested in all folds.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ser.audit.sharing import without_epoch
from ser.audit.split_data import SplitData, tested_only
from ser.metadata.folds.fold import Fold
from ser.results.result import Result
from ser.results.statistics.gains import comparisons
from ser.results.studies import transfer as transfer_record
from ser.train.classical.classifier import is_classical
from ser.train.experiments.study import StudyFields, Variant, study
from ser.train.loop.config import LOWEST
from ser.train.runs.experiment import Experiment, kind_of, make_experiment
from ser.train.runs.identity import identity
from ser.train.runs.options import FitOptions, read_options, with_options
from ser.train.runs.recipe import make_recipe, picks_epoch
from ser.train.runs.scheduler import train_all
from ser.train.runs.source_target import CorpusPair, prepare_pair
from ser.workspace import Workspace

SOURCE_ONLY, TARGET_ONLY = "source only", "target only"
ORACLE = "trained on the target's labels: what the others are measured by, no transfer"


@with_options("refit", "target")
def transfer(
    source: str,
    target: str,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    learns: str = "emotion",
    **options: Any,
) -> Result:
    """Train a head on a source, test it on the target's test parts, and write the record.

    `protocol` and the options of folds are the target's, and decide which of its utterances are tested. `normalize`: `train`
    applies the source's statistics to the target; `corpus` and `speaker` use unlabelled target data, test data too, and are
    stamped.

    Args:
        source, target: datasets of the workspace with the same features.
        head: a neural head, or `sklearn:` and a classifier of scikit-learn.
        learns: what heads learn, as `target` of `ser.fit`.

    Returns:
        The summary, as written: `data.label_space` has the emotions that were left out, `data.languages` the languages, and
        `suspects` classes that are mostly predicted as each other.

    Raises:
        ConfigError: the corpora share fewer than two classes, or the scale of a dimension is not known.
        StoreError: their features are not of the same encoder.
    """
    given = read_options(transfer, workspace, head, options, learns)
    experiment = source_only(prepare_pair(source, target, given), given, output=given.output).result
    train_all([experiment], given, experiment.name)
    experiment.summarise()
    return given.result(experiment.numbers)


def source_only(pair: CorpusPair, options: FitOptions, output: Path | None = None) -> Variant:
    """The source's head alone."""
    experiment = transfer_experiment(pair.setup, SOURCE_ONLY, pair.source_only, options, output=output)
    return Variant(SOURCE_ONLY, experiment, {"method": "none", "stamps": []})


def target_only(pair: CorpusPair, options: FitOptions) -> Variant:
    """Training on the target's labels."""
    experiment = transfer_experiment(pair.setup, TARGET_ONLY, pair.target_only, options, stamps=[ORACLE])
    return Variant(TARGET_ONLY, experiment, {"method": "oracle", "stamps": [ORACLE]})


def transfer_experiment(
    setup: SplitData,
    variant: str,
    folds: Sequence[Fold],
    options: FitOptions,
    *,
    tuning: dict[str, Any] | None = None,
    stamps: Sequence[str] = (),
    words: Sequence[str] | None = None,
    output: Path | None = None,
) -> Experiment:
    """The experiment of one variant of a transfer.

    A classifier of scikit-learn, for which validation chooses nothing, is fitted again on training and validation.

    Args:
        setup: both corpora joined.
        variant: its name, which is part of its identity.
        folds: the parts that are trained on and tested.
        tuning: options of the second training where there is one.
        stamps: sentences that its record must carry beside those of the setup.
        words: the first words of the experiment's name; None: source, target and the variant's name.
        output: of its summary; None names it after the experiment.
    """
    given = {**options.training, **kind_of(setup.data)}
    recipe = make_recipe(options.head, **given)
    second = None if tuning is None else make_recipe(options.head, **{**given, **tuning})
    config = identity(
        recipe,
        options.seed,
        *setup.facts["datasets"].values(),
        limit=options.limit,
        variant=variant,
        # A row of a matrix tests whole corpora and a transfer a corpus's folds, both by the same facts: the folds tell
        # them apart.
        tested=[f.name for f in folds],
        **({} if second is None else {"tuning": second.as_dict()}),
    )
    words = words or [setup.facts["source"], setup.facts["target"], variant.replace(" ", "-")]
    common = tested_only(setup.stamps) if variant == SOURCE_ONLY else setup.stamps
    own = replace(options, output=output, refit="always" if is_classical(options.head) else "never")
    return make_experiment(replace(setup, folds=list(folds)), recipe, config, words, own, [*common, *stamps], tuning=second)


def transfer_study(
    task: Literal["adapt", "finetune"], pair: CorpusPair, variants: Sequence[Variant], options: FitOptions
) -> Result:
    """Train all variants, compare each with the source's head alone, and write the study.

    Args:
        task: the command's name, with which the study's name begins.
        variants: their facts have `method`, `stamps` and, of adapted ones, `selection`.

    Returns:
        The study, as written (`ser.results.studies.transfer.Study`).
    """
    others = [v for v in variants if v.name not in (SOURCE_ONLY, TARGET_ONLY)]
    picked = any(v.experiment is not None and picks_epoch(v.experiment.job.recipe) for v in variants)
    said = pair.setup.stamps if picked else without_epoch(pair.setup.stamps)

    def record(fields: StudyFields, path: Path) -> transfer_record.Study:
        predictions = {v.name: v.result.predictions for v in variants}
        blind = [v for v in variants if v.result.job.tuning is None and v.name != TARGET_ONLY]
        return transfer_record.Study(
            **fields,
            task=task,
            variants=_choose([_row(v, path) for v in variants]),
            comparisons=comparisons(predictions, list(pair.target.classes), SOURCE_ONLY, TARGET_ONLY),
            suspects=transfer_record.suspects_of((v.name, v.result.numbers.suspects or ()) for v in blind),
        )

    return study(
        variants,
        options,
        words=[task, pair.source.dataset, pair.target.dataset],
        config={"head": options.head, "task": task, "variants": {v.name: v.result.config for v in variants}},
        data=pair.setup.facts,
        stamps=[*said, *(f"{v.name}: {s}" for v in others for s in v.facts["stamps"])],
        record=record,
    )


def _row(variant: Variant, study: Path) -> transfer_record.Variant:
    row = variant.row(study)
    if "lambda" in row:
        row["weight"] = row.pop("lambda")
    if "selection" in row:
        records = [run.record for run in variant.result.done]
        row["selection_score"] = transfer_record.selection_score(row["selection"], records)
    return transfer_record.Variant(**row)


def _choose(rows: list[transfer_record.Variant]) -> list[transfer_record.Variant]:
    """Mark, of each method that has several weights, the row with the best selection score."""
    for method in dict.fromkeys(row.method for row in rows):
        own = [(row, row.selection_score) for row in rows if row.method == method and isinstance(row.selection_score, float)]
        if len(own) > 1:
            sign = -1 if own[0][0].selection in (*LOWEST, "source loss") else 1
            best = max(own, key=lambda pair: sign * pair[1])[0]
            for row, _ in own:
                row.chosen = row is best
    return rows
