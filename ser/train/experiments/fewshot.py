"""`fewshot`: how much labelled target data is a source model worth? Curves over the amount of it, one for each method.

The source model is trained once a seed, for all folds, amounts and methods; it is that of `ser adapt`'s source only. From it
each method learns from nested, stratified subsets of each fold's training part; the target's validation part is not used, as
those labels would be shots that are not counted. Percentage 0 is the source model itself, zero-shot. Without a source, heads
start from random weights.
"""

from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import ConfigError
from ser.results.records import record
from ser.results.records.notes import notes_of
from ser.train.classical.learner import refuse_words
from ser.train.fewshot.ground import (
    PLAIN,
    Asked,
    Curve,
    Ground,
    curves_of,
    identity,
    lay_ground,
    make_job,
    place,
    recipes,
)
from ser.train.fewshot.runs import run_all
from ser.train.fewshot.shots import amounts
from ser.train.fewshot.study import write_study
from ser.train.fewshot.task import check_methods, method
from ser.train.runs.experiment import FitOptions, check_runs, open_workspace, split_options
from ser.train.runs.identity import beside
from ser.train.runs.job import Run
from ser.train.runs.recipe import device_of, make_recipe, stamps_of
from ser.workspace import Workspace

TUNE_EPOCHS, LR_FACTOR = 30, 0.3  # of fine-tuning


def fewshot(
    target: str,
    source: str | None = None,
    workspace: Workspace | str | Path = ".",
    *,
    methods: Sequence[str] = (PLAIN,),
    percentages: Sequence[float] | None = None,
    shots: Sequence[int] | None = None,
    speaker_aware: bool = False,
    head: str = "mlp",
    tune_epochs: int | None = None,
    lr_factor: float | None = None,
    freeze: str = "none",
    command: str = "ser.fewshot",
    **options: Any,
) -> dict[str, Any]:
    """The curve over the amount of labelled target data, of one method or of several on the same shots, and its record.

    Args:
        target, source: datasets of the workspace with the same features; no source trains from random weights.
        methods: plugins of `ser.train.fewshot.methods`.
        percentages, shots: of each class of the target's training part, each fold; 10, 20, 50 and 100 % where neither is given.
        speaker_aware: one speaker is used up before the next, see `ser.train.fewshot.shots.subsets`.
        tune_epochs, lr_factor, freeze: of fine-tuning from a source: epochs (None: 30), share of the learning rate (None: 0.3),
            and whether the encoder learns.
        options: as for `ser.train.experiments.fit.fit`; `protocol` and `folds` are the target's. With
            `normalize="train"` the statistics
            are of the source's training utterances for both corpora; without a source of the target's training part,
            unlabelled.

    Returns:
        The summary of the method, as written; of several methods the study (`ser.results.studies.fewshot.Study`), each of
        which has its summary.

    Raises:
        StoreError: the two corpora's features are not of the same encoder.
        ConfigError: they share fewer than two classes, or an option that does not fit.
    """
    started = datetime.now(timezone.utc)
    space = open_workspace(workspace)
    general, training = split_options({**options, "command": command})
    config = make_recipe(head, **training)
    _check(general)
    names = check_methods(methods, head, source, getattr(config, "context", "utterance"))
    _check_tuning(source, tune_epochs=tune_epochs, lr_factor=lr_factor)
    epochs = TUNE_EPOCHS if tune_epochs is None else tune_epochs
    factor = LR_FACTOR if lr_factor is None else lr_factor
    tuning, fresh = recipes(config, source, epochs, factor, freeze)
    device_of(config, general.device)
    asked = Asked(config, tuning, fresh, amounts(percentages, shots), speaker_aware, general)
    ground = lay_ground(target, source, space, general)
    if source is None and any(method(m).READS_EMBEDDING for m in names):
        refuse_words(ground.setup.data.blocks, "a method on pooled features")
    curves = curves_of(names, ground, asked, space)
    job = make_job(ground, asked, curves)
    folders = {c.method: c.path.with_suffix("") for c in curves}
    runs = range(general.runs)
    done = run_all(job, ground.setup.folds, folders, runs, general.jobs, general.stack, general.quiet)
    summaries = [_conclude(c, ground, asked, done[c.method], started) for c in curves]
    if len(curves) == 1:
        return summaries[0]
    what = {**identity(ground, asked), "methods": names}
    name, path = place("fewshot-methods", ground, asked, space, what, general.output)
    return write_study(
        path,
        experiment=name,
        command=general.command,
        config=what,
        data=ground.setup.facts,
        stamps=ground.setup.stamps + stamps_of(config),
        started=started,
        device=job.device,
        classes=list(ground.setup.data.classes),
        summaries={c.method: (s, beside(path, c.path)) for c, s in zip(curves, summaries, strict=True)},
        done=done,
    )


def _check(options: FitOptions) -> None:
    check_runs(options.runs)
    if options.save or options.refit != FitOptions.refit:
        raise ConfigError(
            "few-shot heads are neither saved nor trained again", action="Leave save and refit out; see ser finetune."
        )


def _check_tuning(source: str | None, **given: Any) -> None:
    """Refuse settings of fine-tuning where there is nothing to go on from.

    Raises:
        ConfigError: naming one.
    """
    for name, value in given.items():
        if value is not None and source is None:
            raise ConfigError(
                f"{name} = {value} without a source", expected="a source, from which a head is fine-tuned"
            )


def _conclude(curve: Curve, ground: Ground, asked: Asked, done: list[Run], started: datetime) -> dict[str, Any]:
    """Write one method's summary, and give it."""
    summary = record.summarise_fewshot(
        experiment=curve.name,
        command=asked.options.command,
        config=curve.asked,
        data=ground.setup.facts,
        stamps=ground.setup.stamps + stamps_of(asked.config),
        runs=[r for r, _ in done],
        predictions=pd.concat([p for _, p in done], ignore_index=True),
        classes=list(ground.setup.data.classes),
        started=started,
        seconds=sum(r["seconds"] for r, _ in done),
        device=device_of(asked.config, asked.options.device),
        folder=curve.path.stem,
        extra={"notes": notes_of(done)},
    )
    record.write_summary(curve.path, summary)
    return summary
