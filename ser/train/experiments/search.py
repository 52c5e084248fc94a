"""`search`: the best of several settings on validation data; each is an ordinary `fit` experiment with its own records.

Test scores of settings that were not chosen are not looked at: they are in their own records, not here. With several folds a
fold's test utterances are validation utterances of other folds, so the chosen setting's test scores are optimistic.
`nested` scores are not: for each fold it takes the setting that is best on that fold's own validation part (nested
cross-validation: Varma & Simon, BMC Bioinformatics 2006), and costs nothing more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import UNSET

from ser.errors import ConfigError, SerError
from ser.features.tensors import Tensors
from ser.results.cells import setting as cell
from ser.results.metrics.measures import chosen_by
from ser.results.records.names import config_hash
from ser.results.records.study_numbers import Nested
from ser.results.result import Result
from ser.results.statistics.chosen_setting import best_setting, nested
from ser.results.studies import search as record
from ser.train.experiments.halving import Halving
from ser.train.experiments.search_space import Values, settings, training_of
from ser.train.experiments.study import StudyFields, Variant, study
from ser.train.loop.config import check_option
from ser.train.losses import resolved
from ser.train.option import check_whole
from ser.train.runs.experiment import fit_experiment, kind_of
from ser.train.runs.halving import Beaten
from ser.train.runs.joined_corpora import load
from ser.train.runs.options import FitOptions, head_named, read_options, with_options
from ser.train.runs.recipe import make_recipe
from ser.train.runs.scheduler import train_all
from ser.workspace import Workspace


@with_options("save")
def search(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    grid: Mapping[str, Values | str],
    random: int | None = None,
    halving: int | None = None,
    head: str = "mlp",
    **options: Any,
) -> Result:
    """Fit every setting, choose one on validation, and give its test scores.

    Args:
        dataset: a dataset of the workspace with features.
        grid: values by training option, options of the head as `head.NAME`: `{"lr": [1e-3, 1e-4], "head.hidden": [128]}`;
            heads themselves as `head`; or with `random` ranges: `"1e-4:1e-2:log"`.
        random: draw so many settings; None tries all combinations.
        halving: successive halving: let one run in so many go on at some epochs, see `ser.train.runs.halving`; None trains all.
        head: of all settings, unless the grid has heads.

    Returns:
        The search, as written (`ser.results.studies.search.Study`). A setting that fails is in it with its error.

    Raises:
        SerError: every setting failed; it is the error of the first.
    """
    if options.pop("save", False):
        raise ConfigError("--save with --grid", action="Search first, then fit the chosen setting with --save.")
    given = read_options(search, workspace, head, options)
    if halving is not None and (halving := check_whole("halving", halving)) < 2:
        raise ConfigError(f"halving = {halving}", expected="2 or more: one run in so many goes on", action="Take 3, or None.")
    tried = [{key: _named(key, value) for key, value in one.items()} for one in settings(grid, random, given.seed)]
    data = load(dataset, given)
    _check_values(tried, given, kind_of(data))
    variants = _different([_variant(data, setting, given) for setting in tried])
    first = next((v.experiment for v in variants if v.experiment is not None), None)
    if first is None:
        raise next(v.error for v in variants if v.error is not None)
    heads = "heads" if any("head" in v.facts["setting"] for v in variants) else given.head
    hashes = [None if v.experiment is None else v.experiment.job.config_hash for v in variants]

    by = chosen_by(data.target.kind)
    refused = [f"{cell(v.facts['setting'])}: {v.refusal.line()}" for v in variants if v.refusal is not None]
    halved = None if halving is None else Halving(halving, refused)

    def made(fields: StudyFields, path: Path) -> record.Study:
        chosen, fields["notes"], picked = _chosen(variants, path, list(data.classes), halved)
        return record.Study(
            **fields,
            chosen_by=by,
            tried=len(variants),
            failed=sum(v.error is not None and not isinstance(v.error, Beaten) for v in variants),
            halving=UNSET if halving is None else halving,
            settings=[_row(v, path, halved) for v in variants],
            chosen=chosen,
            nested=picked or UNSET,
        )

    return study(
        variants,
        given,
        words=["search", dataset],
        head=heads,
        config={
            "head": heads,
            "random": random,
            **({} if halving is None else {"halving": halving}),
            "settings": [{"setting": v.facts["setting"], "config_hash": h} for v, h in zip(variants, hashes, strict=True)],
            "base": first.config["inputs"],
        },
        data=first.setup.facts,
        stamps=[
            *(s for v in variants if v.experiment is not None for s in v.experiment.stamps),
            *_stamps(len(variants), len(first.folds), by),
        ],
        record=made,
        train=partial(train_all, keep_going=True) if halved is None else halved.train,
    )


def _named(key: str, value: Any) -> Any:
    """A value with the name that records have for a part from outside."""
    if key == "head":
        return head_named(str(value))
    return resolved(value) if key == "loss" and isinstance(value, str) else value


def _check_values(tried: Sequence[Mapping[str, Any]], given: FitOptions, kind: Mapping[str, str]) -> None:
    """Refuse a value that is wrong in every setting, before any is trained; a setting that does not go together fails alone.

    Raises:
        ConfigError: it names what is not there, or is of another type or out of its range; or a key is none of a search.
    """
    training_of(tried[0], given.training)
    heads = list(dict.fromkeys(setting.get("head", given.head) for setting in tried))
    for head in heads:
        make_recipe(head, **kind)
    each = {(key, repr(value)): value for setting in tried for key, value in setting.items() if value is not None}
    for (key, _), value in each.items():
        if key.startswith("head."):
            refusals = [_refusal(head, {**kind, "head_options": {key[5:]: value}}) for head in heads]
            if refusals[0] is not None and all(refusals):  # an option may be that of one head alone
                raise refusals[0]
        elif key != "head":
            check_option(key.replace("-", "_"), value)


def _refusal(head: str, given: Mapping[str, Any]) -> ConfigError | None:
    try:
        make_recipe(head, **given)
    except ConfigError as error:
        return error
    return None


def _variant(data: Tensors, setting: dict[str, Any], options: FitOptions) -> Variant:
    """The experiment of a setting, or the reason why it is refused."""
    training = training_of(setting, options.training)
    own = replace(options, head=training.pop("head", options.head), training=training, output=None)
    try:
        return Variant("", fit_experiment(data, own), {"setting": setting})
    except SerError as error:
        return Variant("", None, {"setting": setting}, refusal=error)


def _different(variants: Sequence[Variant]) -> list[Variant]:
    """Variants without those whose configuration is that of an earlier one."""
    kept: dict[str, Variant] = {}
    for variant in variants:
        experiment = variant.experiment
        key = config_hash(variant.facts["setting"]) if experiment is None else experiment.job.config_hash
        kept.setdefault(key, variant)
    return list(kept.values())


def _row(variant: Variant, study: Path, halved: Halving | None) -> record.Setting:
    experiment, error = variant.experiment, variant.error
    left = [] if halved is None or experiment is None else halved.left(experiment)
    return record.Setting(
        **variant.facts,
        experiment=None if experiment is None else experiment.name,
        record=None if error is not None else variant.result.reference(study)["record"],
        validation=None if error is not None else variant.result.numbers.validation,
        left=[record.Left(fold=f, run=r, epoch=e, validation=s) for f, r, e, s in left] if left else UNSET,
        error=None if error is None or isinstance(error, Beaten) else error.line(),
    )


def _stamps(tried: int, folds: int, by: str) -> list[str]:
    found = [f"hyperparameters chosen among {tried} settings by {by}"]
    if folds > 1:
        found.append(
            "validation parts of the same folds chose the hyperparameters: a fold's test utterances are validation or training "
            "utterances of others, so the chosen setting's test scores are optimistic; nested ones are not"
        )
    return found


def _chosen(
    variants: Sequence[Variant], study: Path, classes: list[str], halved: Halving | None
) -> tuple[record.Chosen, list[str], Nested | None]:
    """The chosen setting with its test scores, the notes of its runs, and the nested choice where there are several folds."""
    rows = [None if v.error is not None else v.result.numbers.validation for v in variants]
    number = best_setting([None if row is None else row.main.mean for row in rows])
    best, validation = variants[number].result, rows[number]
    assert validation is not None
    chosen = record.Chosen(
        setting=variants[number].facts["setting"],
        experiment=best.name,
        record=best.reference(study)["record"],
        validation=validation,
        test=best.numbers.test,
        pooled=best.numbers.pooled,
    )
    runs = [[] if v.error is not None else v.result.done for v in variants]
    if halved is not None:
        picks = [None if v.experiment is None else v.experiment.job.config_hash for v in variants]
        runs = [halved.picked.get(key or "", []) for key in picks]
    return chosen, best.notes, nested([v.facts["setting"] for v in variants], runs, classes)
