"""`adapt`: the gain of unsupervised domain adaptation, each method beside source only and target only."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ser import registry
from ser.errors import ConfigError
from ser.metadata.targets import plugin
from ser.registry import words
from ser.results.result import Result
from ser.train.classical.classifier import is_classical
from ser.train.experiments.study import Variant
from ser.train.experiments.transfer import source_only, target_only, transfer_experiment, transfer_study
from ser.train.option import check_numbers
from ser.train.runs.options import FitOptions, read_options, with_options
from ser.train.runs.source_target import CorpusPair, prepare_pair
from ser.workspace import Workspace

METHODS = "ser.train.adapt"
BESIDE = ("none", "oracle")  # source only and target only, which are always there
ORACLE = "the epoch was picked by labels of the target's validation part (oracle)"


@with_options("refit", "target")
def adapt(
    source: str,
    target: str,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    learns: str = "emotion",
    methods: str | Sequence[str] = "dann",
    weights: float | Sequence[float] | None = None,
    ramp: str | None = None,
    criterion: str = "source",
    **options: Any,
) -> Result:
    """Adapt a head from a labelled source to an unlabelled target, and write the study.

    `protocol` and the options of folds are the target's.

    Args:
        source, target: datasets of the workspace with the same features.
        learns: what heads learn, as `target` of `ser.fit`.
        methods: plugins of `ser.train.adapt`; `none` (source only) and `oracle` (target only) are always there, and are named
            to have these alone.
        weights: lambda, each is tried; None: 1.
        ramp: lambda over training, `constant` or `dann`; None: as the method was published.
        criterion: the score that picks the epoch, and the lambda of a method: `source` (the source's validation part by
            `selection`), `entropy`, `iwv`, `dev`, or `oracle`, which reads the target's labels and is stamped.

    Returns:
        The study, as written (`ser.results.studies.transfer.Study`).

    Raises:
        ConfigError: a method is unknown, a weight is not a number of 0 or more, or the head cannot be adapted.
    """
    given = read_options(adapt, workspace, head, options, learns)
    names = _methods(words("methods", methods) or ())
    tried = check_numbers("weights", [1.0] if weights is None else weights) or (1.0,)
    if is_classical(head):
        raise ConfigError(f"head {head} cannot be adapted", expected="a head with an embedding, such as mlp")
    if not names:
        for flag, key, asked in (
            ("lambda", "weights", weights is not None),
            ("ramp", "ramp", ramp is not None),
            ("criterion", "criterion", criterion != "source"),
        ):
            if asked:
                raise ConfigError(
                    f"--{flag} is of a method of adaptation, and none is named but those that are always there",
                    expected=f"one of {', '.join(registry.names(METHODS))}",
                    action=f"Leave --{flag} out.",
                    option=key,
                )
    pair = prepare_pair(source, target, given)
    adapted = _adapted(pair, names, [float(w) for w in tried], ramp or "", criterion, given)
    return transfer_study("adapt", pair, [source_only(pair, given), *adapted, target_only(pair, given)], given)


def _methods(names: Sequence[str]) -> list[str]:
    found = [name for name in dict.fromkeys(registry.resolve(METHODS, name) for name in names) if name not in BESIDE]
    for name in found:
        registry.load(METHODS, name)
    if not names:
        raise ConfigError("no method of adaptation is named", expected=f"one of {', '.join(registry.names(METHODS))}")
    return found


def _adapted(
    pair: CorpusPair, methods: Sequence[str], weights: Sequence[float], ramp: str, criterion: str, options: FitOptions
) -> list[Variant]:
    """A variant for each method and weight."""
    selection = {} if criterion == "source" else {"selection": criterion}
    stamps = [ORACLE] if criterion == "oracle" else []
    by = criterion if selection else f"source {options.training.get('selection') or plugin(pair.target.target.kind).SELECTION}"
    found = []
    for weight in weights:
        if not 0 <= weight < float("inf"):
            raise ConfigError(f"--lambda {weight:g}", expected="0 or more")
    for method in methods:
        for weight in dict.fromkeys(weights):
            name = f"{method} {weight:g}" if float(f"{weight:g}") == weight else f"{method} {weight!r}"
            own = {"adapt": method, "adapt_weight": weight, "adapt_ramp": ramp, **selection}
            trained = replace(options, training={**options.training, **own})
            experiment = transfer_experiment(pair.setup, name, pair.adapted, trained, stamps=stamps)
            facts = {"method": method, "lambda": weight, "selection": by, "stamps": stamps}
            found.append(Variant(name, experiment, facts))
    return found
