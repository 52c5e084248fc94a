"""`adapt`: does unsupervised domain adaptation help? Each method and weight beside the source's head alone and the target's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ser import registry
from ser.errors import ConfigError
from ser.train.classical.classifier import is_classical
from ser.train.experiments.study import Variant, source_only, study, target_only
from ser.train.runs.experiment import open_workspace, split_options
from ser.train.runs.source_target import Pair, prepare_pair
from ser.workspace import Workspace

METHODS = "ser.train.adapt"
BESIDE = ("none", "oracle")  # source only and target only, which are always there
ORACLE = "the epoch was picked by labels of the target's validation part (oracle)"


def adapt(
    source: str,
    target: str,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    methods: Sequence[str] = ("dann",),
    weights: Sequence[float] | None = None,
    ramp: str | None = None,
    criterion: str = "source",
    command: str = "ser.adapt",
    **options: Any,
) -> dict[str, Any]:
    """Adapt a head from a labelled source to an unlabelled target, and write the study.

    Args:
        source, target: datasets of the workspace with the same features.
        methods: plugins of `ser.train.adapt`; `none` (source only) and `oracle` (target only) are always there, and can be
            named to have them alone.
        weights: lambda, each is tried; None: 1.
        ramp: lambda over training, `constant` or `dann`; None: as the method was published.
        criterion: what picks the epoch, and the lambda of a method: `source` (the source's validation part by `selection`),
            `entropy`, `iwv`, `dev` (see `ser.train.loop.target_selection`), or `oracle`, which reads the target's labels
        and is stamped.
        options: as for `ser.train.experiments.fit.fit`; `protocol` and `folds` are the target's.

    Returns:
        The study, as written (`ser.results.studies.transfer.Study`).

    Raises:
        ConfigError: an unknown method, a weight that is none, a head that cannot be adapted.
    """
    space = open_workspace(workspace)
    general, training = split_options({**options, "command": command})
    weights = list(weights) if weights else [1.0]
    methods = _methods(methods)
    if is_classical(head):
        raise ConfigError(f"head {head} cannot be adapted", expected="a head with an embedding, such as mlp")
    pair = prepare_pair(source, target, space, general)
    variants = [
        source_only(pair),
        *_adapted(pair, methods, weights, ramp or "", criterion, training),
        target_only(pair),
    ]
    return study("adapt", pair, variants, space, head, training, replace(general, refit="never"))


def _methods(names: Sequence[str]) -> list[str]:
    found = [name for name in dict.fromkeys(names) if name not in BESIDE]
    for name in found:
        registry.load(METHODS, name)
    if not names:
        raise ConfigError("no method of adaptation is named", expected=f"one of {', '.join(registry.names(METHODS))}")
    return found


def _adapted(
    pair: Pair, methods: Sequence[str], weights: Sequence[float], ramp: str, criterion: str, training: dict[str, Any]
) -> list[Variant]:
    selection = {} if criterion == "source" else {"selection": criterion}
    stamps = (ORACLE,) if criterion == "oracle" else ()
    by = criterion if selection else f"source {training.get('selection') or 'UA'}"
    found = []
    for weight in weights:
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"--lambda {weight:g}", expected="0 or more")
    for method in methods:
        for weight in dict.fromkeys(weights):
            name = f"{method} {weight:g}" if float(f"{weight:g}") == weight else f"{method} {weight!r}"
            facts = {"method": method, "lambda": weight, "selection": by}
            given = {"adapt": method, "adapt_weight": weight, "adapt_ramp": ramp, **selection}
            found.append(Variant(name, pair.adapted, given, stamps=stamps, facts=facts))
    return found
