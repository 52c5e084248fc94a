"""`ablate`: the gain of each part of a model. Each modality alone, a simple fusion, and the full model, compared in pairs.

All variants have the same utterances (those with features of every modality), folds and seeds. Each is an ordinary `fit`
experiment with its own records, which are used again where they are there.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ser.errors import ConfigError, TrainingError
from ser.features.tensors import Tensors
from ser.metadata.ledger import IMPORTED
from ser.results.result import Result
from ser.results.statistics.gains import against
from ser.results.studies import ablation
from ser.train.classical.classifier import is_classical
from ser.train.experiments.study import StudyFields, Variant, study
from ser.train.heads._base import build_head, part_of
from ser.train.loop.data import inputs_of
from ser.train.runs.experiment import fit_experiment
from ser.train.runs.joined_corpora import load
from ser.train.runs.options import FitOptions, head_named, read_options, with_options
from ser.workspace import Workspace

FULL = "full model"


@with_options()
def ablate(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "cross_attention",
    simple: str = "early",
    **options: Any,
) -> Result:
    """Fit all variants, and compare the full model with each of the others.

    Options of training hold for all variants; `head_options` for those with `head`, and `modality_dropout` for those that see
    several modalities at once.

    Args:
        dataset: a dataset with features of two modalities or more.
        head: the full model.
        simple: the fusion that it is compared with.

    Returns:
        The ablation, as written (`ser.results.studies.ablation.Study`).
    """
    given = read_options(ablate, workspace, head, options)
    data = load(dataset, given)
    variants = [_variant(data, given, *part) for part in parts(data, given.head, head_named(simple))]
    full = variants[-1].result

    def record(fields: StudyFields, path: Path) -> ablation.Study:
        predictions = {v.name: v.result.predictions for v in variants}
        return ablation.Study(
            **fields,
            full=FULL,
            variants=[ablation.Variant(**v.row(path)) for v in variants],
            comparisons=against(FULL, predictions, list(data.classes)),
        )

    return study(
        variants,
        given,
        words=["ablate", dataset],
        config={"head": given.head, "simple": simple, "variants": {v.name: v.result.config for v in variants}},
        data=full.setup.facts,
        stamps=_stamps(full.stamps, [s for v in variants[:-1] for s in v.result.stamps]),
        record=record,
    )


def _stamps(full: Sequence[str], others: Sequence[str]) -> list[str]:
    """Each stamp once; that on imported features names the stores, and the full model's names all."""
    return list(dict.fromkeys([*full, *(s for s in others if not s.startswith(f"{IMPORTED} features: "))]))


def parts(data: Tensors, head: str, simple: str) -> list[tuple[str, str, list[str]]]:
    """Each modality alone, the simple fusion (where it is not the full model itself), the full model.

    A modality alone is given to the full model's head, or where that needs several, to `mlp` (pooled) or `mean_linear`
    (frames).

    Returns:
        For each the name, the head and the stores.

    Raises:
        ConfigError: one modality only.
    """
    modalities = tuple(dict.fromkeys(b.modality for b in data.blocks))
    if len(modalities) < 2:
        other = "--text bert" if modalities[0] == "audio" else "--audio egemaps"
        raise ConfigError(
            f"{data.dataset}: an ablation leaves modalities out, and features of {modalities[0]} alone are used",
            expected="two modalities or more",
            action="Where --audio, --text, --visual or --modalities is given, name another modality too; where there is none, "
            f"extract it: ser extract --dataset {data.dataset} {other}",
        )
    found = []
    for modality in modalities:
        stores = [b.name for b in data.blocks if b.modality == modality]
        found.append((f"{modality} only", _head_alone(only(data, stores), head), stores))
    every = [b.name for b in data.blocks]
    found += [("simple fusion", simple, every)] if simple != head else []
    return [*found, (FULL, head, every)]


def only(data: Tensors, stores: Sequence[str]) -> Tensors:
    """The same utterances with the features of some stores."""
    blocks = tuple(b for b in data.blocks if b.name in stores)
    views = None if data.views is None else data.views.only(stores)
    kept = {n: facts for n, facts in data.stores.items() if n in stores}
    return replace(data, blocks=blocks, stores=kept, views=views)


def _head_alone(data: Tensors, head: str) -> str:
    """The head for one modality."""
    if is_classical(head):
        return head
    try:
        build_head(part_of(head), inputs_of(data.blocks), len(data.classes), {}, 0)
    except TrainingError:
        return "mean_linear" if any(b.framewise for b in data.blocks) else "mlp"
    return head


def _variant(data: Tensors, options: FitOptions, name: str, head: str, stores: list[str]) -> Variant:
    own = only(data, stores)
    modalities = list(dict.fromkeys(b.modality for b in own.blocks))
    training = dict(options.training)
    if head != options.head:
        training.pop("head_options", None)
    if not any(block.framewise for block in own.blocks) and training.get("head_options"):
        training["head_options"] = {n: v for n, v in training["head_options"].items() if n != "pooling"}  # nothing to pool
    in_parts = head != options.head and not is_classical(head) and part_of(head) != head  # each sees one modality
    if len(modalities) == 1 or in_parts:
        training.pop("modality_dropout", None)  # there is no other modality to leave out
    experiment = fit_experiment(own, replace(options, head=head, training=training, output=None))
    return Variant(name, experiment, {"head": head, "modalities": modalities, "stores": stores})
