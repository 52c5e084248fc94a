"""`layers`: the same head on each stored layer of an encoder by itself (a probe), or with each pooling of frames.

Probes of single layers: Alain & Bengio, ICLR 2017 workshop; layer-wise analysis of speech encoders: Pasad, Chou & Livescu, ASRU
2021. Beside them stands the head on all layers, summed with learned weights (as SUPERB, Yang et al., Interspeech 2021). All
have the same utterances, folds and seeds, and are ordinary `fit` experiments (`ser fit --layer N`, `--head-option
pooling=KIND`) with their own records. Validation alone chooses the position that is compared with the others.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from msgspec import UNSET

from ser.errors import ConfigError
from ser.features.stored_layers import one_layer, stored_layers
from ser.features.tensors import Tensors
from ser.registry import unknown
from ser.results.metrics.measures import chosen_by
from ser.results.result import Result
from ser.results.statistics.chosen_setting import best_setting, nested, weights_over_runs
from ser.results.statistics.gains import against_others
from ser.results.studies import layers as record
from ser.results.studies.layers import ALL
from ser.train.classical.classifier import is_classical
from ser.train.experiments.study import StudyFields, Variant, study
from ser.train.heads._base import options_of
from ser.train.nn.pooling import POOLINGS
from ser.train.runs.experiment import fit_experiment
from ser.train.runs.joined_corpora import load
from ser.train.runs.options import FitOptions, read_options, with_options
from ser.workspace import Workspace

OVER = ("layers", "pooling")
WITHOUT = "some of its runs were recorded without the learned weights of layers, which are therefore not described"


@with_options("layer", "save")
def layers(
    dataset: str, workspace: Workspace | str | Path = ".", *, head: str = "linear", over: str = "layers", **options: Any
) -> Result:
    """Fit the head at every position, choose one on validation, and compare it with others.

    The chosen layer is compared with the last one and with all layers, the chosen pooling with each other.

    Args:
        dataset: a dataset with one store of several layers; or with frames, over poolings.
        head: of all positions.
        over: `layers` or `pooling`.

    Returns:
        The analysis, as written (`ser.results.studies.layers.Study`).

    Raises:
        ConfigError: there is no store of several layers, or there are others beside it; or no frames to pool.
    """
    given = read_options(layers, workspace, head, options)
    if over not in OVER:
        raise unknown("over", str(over), OVER)
    data = load(dataset, given)
    variants = _layers(data, given) if over == "layers" else _poolings(data, given)
    alone = [v for v in variants if v.name != ALL]
    first = variants[-1].result
    folds, by = len(first.folds), chosen_by(data.target.kind)
    stamps = [s for v in variants for s in v.result.stamps]
    stamps.append(f"the {'layer' if over == 'layers' else 'pooling'} was chosen among {len(alone)} by {by}")
    if folds > 1:
        stamps.append(
            "validation parts of the same folds chose the position: a fold's test utterances are validation or training "
            "utterances of others, so the chosen one's test scores are optimistic; nested ones are not"
        )
    return study(
        variants,
        given,
        words=["layers", dataset],
        config={"head": given.head, "over": over, "positions": {v.name: v.result.config for v in variants}},
        data=first.setup.facts,
        stamps=list(dict.fromkeys(stamps)),
        record=lambda fields, path: _record(variants, over, by, fields, path, list(data.classes)),
    )


def _layers(data: Tensors, options: FitOptions) -> list[Variant]:
    """Each stored layer of the only store by itself, then all of them."""
    known = stored_layers(data)
    if len(known) != 1 or len(data.blocks) != 1:
        raise ConfigError(
            f"{data.dataset}: an analysis of layers has one store, which has several layers",
            found=", ".join(f"{b.name} ({b.layers} {'layer' if b.layers == 1 else 'layers'})" for b in data.blocks),
            action="Extract them (ser extract --layers all), and name the store: --audio NAME or --text NAME.",
        )
    ((_, numbers),) = known.items()
    options = replace(options, output=None)
    each = [Variant(f"layer {n}", fit_experiment(one_layer(data, n), options), {"layer": n}) for n in numbers]
    return [*each, Variant(ALL, fit_experiment(data, options))]


def _poolings(data: Tensors, options: FitOptions) -> list[Variant]:
    """Each pooling of frames in turn."""
    own = dict(options.training.get("head_options") or {})
    if is_classical(options.head) or "pooling" not in options_of(options.head):
        raise ConfigError(f"head {options.head} has no option pooling", expected="a head that pools frames", option="head")
    if "pooling" in own:
        raise ConfigError("head option pooling is given and compared", action="Leave --head-option pooling=... out.")
    if not any(block.framewise for block in data.blocks):
        raise ConfigError(
            f"{data.dataset}: there are no frames to pool",
            found=", ".join(b.name for b in data.blocks),
            action="Extract frames (ser extract --level frame) and name their store.",
        )
    found = []
    for kind in POOLINGS:
        training = {**options.training, "head_options": {**own, "pooling": kind}}
        experiment = fit_experiment(data, replace(options, training=training, output=None))
        found.append(Variant(kind, experiment, {"pooling": kind}))
    return found


def _record(
    variants: Sequence[Variant], over: str, by: str, fields: StudyFields, path: Path, classes: list[str]
) -> record.Study:
    """The record: positions, the chosen one, all layers and their weights, the nested choice, comparisons."""
    positions = [record.Position(**v.row(path)) for v in variants if v.name != ALL]
    together = next((v for v in variants if v.name == ALL), None)
    chosen = positions[best_setting([p.validation.main.mean for p in positions])].name
    others = [v.name for v in variants if v.name != chosen]
    weights = None
    if together is not None:
        others = [name for name in (positions[-1].name, ALL) if name != chosen]
        numbers = [v.facts["layer"] for v in variants if v.name != ALL]
        weights = weights_over_runs([run.record for run in together.result.done], numbers)
        if weights is None and not is_classical(together.result.options.head):
            fields["notes"].append(f"{ALL}: {WITHOUT}")
    runs = [v.result.done for v in variants if v.name != ALL]
    predictions = {v.name: v.result.predictions for v in variants}
    return record.Study(
        **fields,
        over="layers" if over == "layers" else "pooling",
        positions=positions,
        chosen_by=by,
        chosen=chosen,
        all_layers=UNSET if together is None else record.AllLayers(**together.row(path)),
        weights=UNSET if weights is None else weights,
        nested=nested([record.setting(p) for p in positions], runs, classes) or UNSET,
        comparisons=against_others(chosen, others, predictions, classes),
    )
