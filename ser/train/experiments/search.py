"""`search`: which setting is best on validation data? Every setting is an ordinary `fit` experiment with its own records.

Test scores of settings that were not chosen are not looked at: they are in their own records, not here. With several folds a
fold's test utterances are validation utterances of other folds, so the chosen setting's test scores lean to the optimistic
side. `nested` does not: for each fold it takes the setting that is best on that fold's own validation part (nested
cross-validation: Varma & Simon, BMC Bioinformatics 2006), and costs nothing more.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, TypeAlias

from ser.errors import ConfigError, SerError
from ser.results.records import record
from ser.results.records.names import SEARCH_SCHEMA, config_hash
from ser.results.records.notes import notes_of
from ser.results.records.summary import opening
from ser.results.statistics.choices import choose, nested
from ser.train.experiments.search_space import Values, settings, training_of
from ser.train.runs import identity
from ser.train.runs import scheduler as trained
from ser.train.runs.experiment import Begun, begin, conclude, load, open_workspace, split_options
from ser.train.runs.job import Run, Unit
from ser.workspace import Workspace

CHOSEN_BY = "validation UA, mean over runs and folds"
Setting: TypeAlias = dict[str, Any]
Begin: TypeAlias = Begun | SerError
Done: TypeAlias = list[Run] | SerError


def search(
    dataset: str,
    workspace: Workspace | str | Path = ".",
    *,
    grid: Mapping[str, Values | str],
    random: int | None = None,
    head: str = "mlp",
    output: Path | str | None = None,
    command: str = "ser.search",
    **options: Any,
) -> dict[str, Any]:
    """Fit every setting, choose one on validation, and give its test scores.

    Args:
        grid: values by training option, options of the head as `head.NAME`: `{"lr": [1e-3, 1e-4], "head.hidden": [128]}`;
            heads themselves as `head`; or with `random` ranges: `"1e-4:1e-2:log"`.
        random: draw so many settings; None tries all combinations.
        output: file of the search; None names it in `results/`.
        options: as for `ser.train.experiments.fit.fit`.

    Returns:
        The search, as written (`ser.results.studies.search.Study`). A setting that fails is in it with its error.

    Raises:
        SerError: every setting failed: the first one's error.
    """
    started = datetime.now(timezone.utc)
    space = open_workspace(workspace)
    general, training = split_options({**options, "command": command})
    if general.save:
        raise ConfigError("--save with --grid", action="Search first, then fit the chosen setting with --save.")
    data = load(dataset, space, general)
    tried = settings(grid, random, general.seed)
    begun = []
    for setting in tried:
        own = training_of(setting, training)
        begun.append(_or_error(begin, data, space, own.pop("head", head), own, replace(general, output=None)))
    tried, begun = _different(tried, begun)
    first = next((b for b in begun if isinstance(b, Begun)), None)
    if first is None:
        raise next(b for b in begun if isinstance(b, SerError))
    what = "heads" if any("head" in setting for setting in tried) else head
    asked = {
        "head": what,
        "random": random,
        "settings": [
            {"setting": s, "config_hash": b.job.config_hash if isinstance(b, Begun) else None}
            for s, b in zip(tried, begun, strict=True)
        ],
        "base": first.asked["inputs"],
    }
    words = ["search", dataset, what, first.setup.protocol, Path(general.scheme).stem]
    name, path = identity.place(space, output, words, asked)
    done = _train(begun, general.jobs, general.stack, name, general.quiet)
    summaries = [
        conclude(b, d, command, started) if isinstance(b, Begun) and not isinstance(d, SerError) else None
        for b, d in zip(begun, done, strict=True)
    ]
    if not any(summaries):
        raise next(d for d in done if isinstance(d, SerError))
    rows = [_row(path, *r) for r in zip(tried, begun, done, summaries, strict=True)]
    study = {
        **opening(
            name,
            command,
            asked,
            first.setup.facts,
            [*_stamps_of(begun), *_stamps(len(tried), len(first.folds))],
            started,
            sum(r["seconds"] for d in done if not isinstance(d, SerError) for r, _ in d),
            first.job.device,
            SEARCH_SCHEMA,
        ),
        "chosen_by": CHOSEN_BY,
        "tried": len(tried),
        "failed": summaries.count(None),
        "settings": rows,
        **_chosen(rows, summaries, done, list(data.classes)),
    }
    record.write_study(path, study)
    return study


def _or_error(function: Any, *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except SerError as error:
        return error


def _different(tried: list[Setting], begun: list[Begin]) -> tuple[list[Setting], list[Begin]]:
    """Leave out settings that are the same configuration as an earlier one."""
    seen: set[str] = set()
    kept: list[tuple[Setting, Begin]] = []
    for setting, b in zip(tried, begun, strict=True):
        key = b.job.config_hash if isinstance(b, Begun) else config_hash(setting)
        if key not in seen:
            seen.add(key)
            kept.append((setting, b))
    return [s for s, _ in kept], [b for _, b in kept]


def _train(begun: list[Begin], jobs: int | None, stack: int | None, label: str, quiet: bool) -> list[Done]:
    """The runs of each setting, or its error; all that are missing are trained together."""
    done: list[Done] = []
    units: list[Unit] = []
    place: dict[int, int] = {}
    for k, b in enumerate(begun):
        planned = b if isinstance(b, SerError) else _or_error(trained.plan, b.job, b.folds, b.runs, stack)
        if isinstance(b, SerError) or isinstance(planned, SerError):
            done.append(planned)
            continue
        done.append(planned[0])
        units += planned[1]
        place[id(b.job)] = k
    for job, finished, errors in trained.train(units, jobs, label, quiet, keep_going=True):
        k = place[id(job)]
        so_far = done[k]
        if errors:
            done[k] = errors[0]
        elif not isinstance(so_far, SerError):
            so_far.extend(finished)
    return done


def _row(path: Path, setting: Setting, begun: Begin, done: Done, summary: dict[str, Any] | None) -> dict[str, Any]:
    error = begun if isinstance(begun, SerError) else done if isinstance(done, SerError) else None
    return {
        "setting": setting,
        "experiment": begun.job.experiment if isinstance(begun, Begun) else None,
        "record": identity.beside(path, begun.path) if isinstance(begun, Begun) and summary is not None else None,
        "validation": summary["validation"] if summary is not None else None,
        "error": error.line() if error is not None else None,
    }


def _stamps_of(begun: list[Begin]) -> list[str]:
    """Stamps of all settings, each once: heads differ in theirs."""
    return list(dict.fromkeys(s for b in begun if isinstance(b, Begun) for s in b.job.stamps))


def _stamps(tried: int, folds: int) -> list[str]:
    found = [f"hyperparameters chosen among {tried} settings by {CHOSEN_BY}"]
    if folds > 1:
        found.append(
            "validation parts of the same folds chose the hyperparameters: a fold's test utterances are validation or training "
            "utterances of others, so the chosen setting's test scores are optimistic; nested ones are not"
        )
    return found


def _chosen(
    rows: list[dict[str, Any]], summaries: list[dict[str, Any] | None], done: list[Done], classes: list[str]
) -> dict[str, Any]:
    """The chosen setting with its test scores, the notes of its runs, and the nested choice where there are several folds."""
    k = choose([s["validation"]["UA"]["mean"] if s is not None else None for s in summaries])
    summary, of_chosen = summaries[k], done[k]
    assert summary is not None
    assert not isinstance(of_chosen, SerError)
    chosen = {key: rows[k][key] for key in ("setting", "experiment", "record", "validation")}
    chosen |= {part: summary[part] for part in ("test", "pooled")}
    found: dict[str, Any] = {"chosen": chosen, "notes": notes_of(of_chosen)}
    runs = [[] if isinstance(d, SerError) else d for d in done]
    picked = nested([row["setting"] for row in rows], runs, classes)
    return found if picked is None else {**found, "nested": picked}
