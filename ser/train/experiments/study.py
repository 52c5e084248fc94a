"""Transfer from a source corpus to a target: variants (source only, adapted, fine-tuned, target only) and what each gains.

All variants have the same seeds, the same test utterances of the target, and records of their own, which are used again
where they are there. Each is compared with the source's head alone, in pairs; runs are dealt whole, because one source head
is tested in all folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd

from ser.audit.split_data import SplitData, tested_only
from ser.metadata.folds.fold import Fold
from ser.results.metrics.swapped_labels import suspects
from ser.results.records import record
from ser.results.records.names import TRANSFER_SCHEMA
from ser.results.records.notes import notes_of
from ser.results.records.summary import opening
from ser.results.statistics.gains import comparisons
from ser.train.classical.classifier import is_classical
from ser.train.loop.config import LOWEST, TARGET
from ser.train.runs import identity
from ser.train.runs.experiment import Begun, FitOptions, assemble, check_runs, conclude
from ser.train.runs.job import Run
from ser.train.runs.recipe import Recipe, make_recipe, stamps_of
from ser.train.runs.scheduler import train_all
from ser.train.runs.source_target import Pair
from ser.workspace import Workspace

SOURCE_ONLY, TARGET_ONLY = "source only", "target only"
ORACLE = "trained on the target's labels: what the others are measured by, no transfer"


@dataclass(frozen=True)
class Variant:
    """One row of a transfer study.

    Attributes:
        name: as it is shown.
        folds: what is trained and tested.
        training: options of the head's configuration that differ from what all have.
        tuning: those of the second training where there is one, else None.
        stamps: sentences that its record must carry.
        facts: what the study says of it: method, lambda.
    """

    name: str
    folds: Sequence[Fold]
    training: dict[str, Any] = field(default_factory=dict)
    tuning: dict[str, Any] | None = None
    stamps: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)


def source_only(pair: Pair) -> Variant:
    return Variant(SOURCE_ONLY, pair.source_only, facts={"method": "none"})


def target_only(pair: Pair) -> Variant:
    return Variant(TARGET_ONLY, pair.target_only, stamps=(ORACLE,), facts={"method": "oracle"})


def study(
    task: str,
    pair: Pair,
    variants: Sequence[Variant],
    space: Workspace,
    head: str,
    training: dict[str, Any],
    options: FitOptions,
) -> dict[str, Any]:
    """Train all variants, compare each with the source's head alone, and write the study.

    Args:
        task: the command's name, which the record begins with.
        training: fields of the head's configuration, for all variants.

    Returns:
        The study, as written (`ser.results.studies.transfer.Study`).
    """
    started = datetime.now(timezone.utc)
    check_runs(options.runs)
    begun = [begin_variant(pair.setup, v, space, head, training, options) for v in variants]
    asked = {"head": head, "task": task, "variants": {v.name: b.asked for v, b in zip(variants, begun, strict=True)}}
    words = [task, pair.source.dataset, pair.target.dataset, head, pair.setup.protocol, Path(options.scheme).stem]
    name, path = identity.place(space, options.output, words, asked)
    done = train_all(begun, options, name)
    summaries = [conclude_variant(b, d, options.command, started, part=True) for b, d in zip(begun, done, strict=True)]
    predictions = {v.name: pd.concat([p for _, p in d], ignore_index=True) for v, d in zip(variants, done, strict=True)}
    found = {
        **opening(
            name,
            options.command,
            asked,
            pair.setup.facts,
            _stamps(pair, variants),
            started,
            sum(r["seconds"] for d in done for r, _ in d),
            begun[0].job.device,
            TRANSFER_SCHEMA,
        ),
        "task": task,
        "notes": [f"{v.name}: {n}" for v, d in zip(variants, done, strict=True) for n in notes_of(d)],
        "variants": _choose(
            [_row(v, b, d, s, path) for v, b, d, s in zip(variants, begun, done, summaries, strict=True)]
        ),
        "comparisons": comparisons(predictions, list(pair.target.classes), SOURCE_ONLY, TARGET_ONLY),
        "suspects": _suspects(variants, summaries),
    }
    record.write_study(path, found)
    return found


def _stamps(pair: Pair, variants: Sequence[Variant]) -> list[str]:
    """Those of the pair, and of each variant that is compared with the two that are always there."""
    own = [f"{v.name}: {s}" for v in variants if v.name not in (SOURCE_ONLY, TARGET_ONLY) for s in v.stamps]
    return [*pair.setup.stamps, *own]


def _suspects(variants: Sequence[Variant], summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the heads that have seen no label of the target: an adapted one shows a swap more plainly than the source's."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for variant, summary in zip(variants, summaries, strict=True):
        if variant.tuning is None and variant.name != TARGET_ONLY:
            for suspect in summary["suspects"]:
                found.setdefault(tuple(suspect["classes"]), {**suspect, "variant": variant.name})
    return list(found.values())


def begin_variant(
    setup: SplitData,
    variant: Variant,
    space: Workspace,
    head: str,
    training: dict[str, Any],
    options: FitOptions,
    words: Sequence[str] | None = None,
    output: Path | str | None = None,
) -> Begun:
    """Check a variant, and say what is to be trained.

    A classifier of scikit-learn, of which validation chooses nothing, is fitted again on training and validation.

    Args:
        words: what the experiment's name begins with; None: source, target and the variant's name.
        output: of its summary; None names it after the experiment.
    """
    recipe = make_recipe(head, **{**training, **variant.training})
    tuning = None if variant.tuning is None else make_recipe(head, **{**training, **variant.tuning})
    facts = list(setup.facts["datasets"].values())
    more = {} if tuning is None else {"tuning": tuning.as_dict()}
    # A row of a matrix tests whole corpora and a transfer a corpus's folds, both by the same facts: the folds tell them apart.
    tested = [f.name for f in variant.folds]
    asked = identity.identity(
        recipe, options.seed, *facts, limit=options.limit, variant=variant.name, tested=tested, **more
    )
    words = words or [setup.facts["source"], setup.facts["target"], variant.name.replace(" ", "-")]
    stamps = tested_only(setup.stamps) if variant.name == SOURCE_ONLY else setup.stamps
    stamps = [*stamps, *variant.stamps, *stamps_of(recipe)]
    general = replace(options, output=output, refit="always" if is_classical(head) else "never")
    own = SplitData(setup.data, setup.protocol, list(variant.folds), setup.facts, setup.stamps)
    return assemble(own, recipe, asked, words, space, general, stamps, tuning=tuning)


def conclude_variant(
    begun: Begun, done: list[Run], command: str, started: datetime, part: bool = False
) -> dict[str, Any]:
    """Write a variant's summary, with the classes that are mostly predicted as each other; `part`: of a study."""
    predictions = pd.concat([p for _, p in done], ignore_index=True)
    return conclude(begun, done, command, started, part=part, suspects=suspects(predictions, begun.job.data.classes))


def _row(variant: Variant, begun: Begun, done: list[Run], summary: dict[str, Any], path: Path) -> dict[str, Any]:
    chosen = {"selection_score": _selection_score(begun.job.config, done)} if "selection" in variant.facts else {}
    return {
        "name": variant.name,
        **variant.facts,
        **chosen,
        "stamps": list(variant.stamps),
        "experiment": begun.job.experiment,
        "record": identity.beside(path, begun.path),
        **{part: summary[part] for part in ("validation", "test", "pooled")},
    }


def _selection_score(recipe: Recipe, done: list[Run]) -> float | None:
    """What picked the epochs, at the epochs picked: mean over runs and folds; None where it was no score."""
    selection = getattr(recipe, "selection", "last")
    name = f"{'selection' if selection in TARGET else 'validation'}_{selection}"
    values = [
        r["curves"][name][r["best_epoch"] - 1] for r, _ in done if name in r.get("curves", {}) and r["best_epoch"]
    ]
    return sum(values) / len(values) if values else None


def _choose(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark, of each method that has several weights, the row with the best selection score."""
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method and row.get("selection_score") is not None]
        if len(own) > 1:
            sign = -1 if own[0]["selection"] in (*LOWEST, "source loss") else 1
            best = max(own, key=lambda row: sign * row["selection_score"])
            for row in own:
                row["chosen"] = row is best
    return rows
