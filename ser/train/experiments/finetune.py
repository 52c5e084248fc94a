"""`finetune`: a head of the source trained on with the target's labels, beside the source alone and the target alone."""

from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.results.result import Result
from ser.train.classical.classifier import is_classical
from ser.train.experiments.study import Variant
from ser.train.experiments.transfer import source_only, target_only, transfer_experiment, transfer_study
from ser.train.option import check_number
from ser.train.runs.experiment import kind_of
from ser.train.runs.options import read_options, with_options
from ser.train.runs.recipe import make_recipe
from ser.train.runs.source_target import prepare_pair
from ser.workspace import Workspace


@with_options("refit", "target")
def finetune(
    source: str,
    target: str,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    learns: str = "emotion",
    freeze: str = "none",
    tune_epochs: int | None = None,
    lr_factor: float = 0.1,
    **options: Any,
) -> Result:
    """Train on the source, then on the target's training part, and write the study.

    The target's validation part picks the epoch of the second training. `protocol` and the options of folds are the target's.

    Args:
        source, target: datasets of the workspace with the same features.
        learns: what heads learn, as `target` of `ser.fit`.
        freeze: `encoder` trains only what comes after the head's embedding in the second training; `none` trains all.
        tune_epochs: of the second training, at most; None: as of the first.
        lr_factor: its learning rate as a share of the first's.

    Returns:
        The study, as written (`ser.results.studies.transfer.Study`).
    """
    given = read_options(finetune, workspace, head, options, learns)
    if is_classical(head):
        raise ConfigError(f"head {head} cannot be fine-tuned", expected="a neural head, such as mlp")
    if not 0 < check_number("lr_factor", lr_factor) < float("inf"):
        raise ConfigError(f"lr_factor = {lr_factor}", expected="above 0")
    pair = prepare_pair(source, target, given)
    rate = getattr(make_recipe(given.head, **given.training, **kind_of(pair.target)), "lr", 0.0)
    tuning = {"lr": rate * lr_factor, "freeze": freeze, **({} if tune_epochs is None else {"epochs": tune_epochs})}
    name = "fine-tuned" if freeze == "none" else f"fine-tuned, {freeze} frozen"
    experiment = transfer_experiment(pair.setup, name, pair.tuned, given, tuning=tuning)
    tuned = Variant(name, experiment, {"method": "finetune", "stamps": []})
    return transfer_study("finetune", pair, [source_only(pair, given), tuned, target_only(pair, given)], given)
