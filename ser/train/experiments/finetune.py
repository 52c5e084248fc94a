"""`finetune`: a head of the source trained on with the target's labels, beside the source alone and the target alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.train.classical.classifier import is_classical
from ser.train.experiments.study import Variant, source_only, study, target_only
from ser.train.runs.experiment import open_workspace, split_options
from ser.train.runs.recipe import make_recipe
from ser.train.runs.source_target import prepare_pair
from ser.workspace import Workspace


def finetune(
    source: str,
    target: str,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    freeze: str = "none",
    tune_epochs: int | None = None,
    lr_factor: float = 0.1,
    command: str = "ser.finetune",
    **options: Any,
) -> dict[str, Any]:
    """Train on the source, then on the target's training part, and write the study.

    The target's validation part picks the epoch of the second training. What is frozen is said by `freeze`.

    Args:
        source, target: datasets of the workspace with the same features.
        freeze: `encoder` trains only what comes after the head's embedding; `none` trains all.
        tune_epochs: of the second training, at most; None: as of the first.
        lr_factor: its learning rate as a share of the first's.
        options: as for `ser.train.experiments.fit.fit`; `protocol` and `folds` are the target's.

    Returns:
        The study, as written (`ser.results.studies.transfer.Study`).
    """
    space = open_workspace(workspace)
    general, training = split_options({**options, "command": command})
    if is_classical(head):
        raise ConfigError(f"head {head} cannot be fine-tuned", expected="a neural head, such as mlp")
    if not 0 < lr_factor < float("inf"):
        raise ConfigError(f"lr_factor = {lr_factor}", expected="above 0")
    pair = prepare_pair(source, target, space, general)
    rate = getattr(make_recipe(head, **training), "lr", 0.0)
    tuning = {"lr": rate * lr_factor, "freeze": freeze, **({} if tune_epochs is None else {"epochs": tune_epochs})}
    name = "fine-tuned" if freeze == "none" else f"fine-tuned, {freeze} frozen"
    tuned = Variant(name, pair.tuned, tuning=tuning, facts={"method": "finetune"})
    variants = [source_only(pair), tuned, target_only(pair)]
    return study("finetune", pair, variants, space, head, training, replace(general, refit="never"))
