"""Results that can be compared: the same data, scheme, protocol, classes and test utterances; and the pairs of their runs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
import pandas as pd

from ser.errors import ConfigError
from ser.metadata.targets import DIMENSIONS
from ser.results.metrics.measures import alike, dimensions_beside, measure_of, truth_columns
from ser.results.records.find import beside, dataset_of, fact_of, find_summary, is_system, word_of
from ser.results.records.kinds import read_record, read_summary
from ser.results.records.model import AmountNumbers, FewshotSummary, RunRow, Summary
from ser.results.records.names import amount_name, amount_of, amount_value
from ser.results.records.numbers import Numbers, classes_of
from ser.results.statistics.paired import tested_rows
from ser.results.stored.runs import read_predictions
from ser.results.studies import StudyRecord


@dataclass(frozen=True, eq=False)
class Member:
    """One of the results that are compared.

    Attributes:
        path: the file of its summary.
        amount: of a few-shot result, the amount of target data that is compared.
        classes: in the summary's order.
        runs: rows of the summary's `runs` (of the amount).
        frame: their test predictions, in the order of runs, folds and utterances.
    """

    path: Path
    summary: Summary | FewshotSummary
    amount: str | None
    classes: list[str]
    runs: list[RunRow]
    frame: pd.DataFrame

    @property
    def name(self) -> str:
        experiment = self.summary.experiment
        return experiment if self.amount is None else f"{experiment} at {self.amount}"


@dataclass(frozen=True)
class Pairing:
    """The matching of runs.

    Attributes:
        by: `seed`, or `run` where the results share no seeds.
        runs: number of pairs.
        folds: their names; `all` where a model is tested in several.
        notes: remarks on runs and folds that were left out.
    """

    by: Literal["seed", "run"]
    runs: int
    folds: list[str]
    notes: list[str]


def read_members(names: Sequence[str], folder: Path, at: str | None = None) -> list[Member]:
    """Read results by their names; a study stands for the experiments that it is made of.

    Args:
        names: as for `find_summary`.
        folder: of the results.
        at: amount of target data of few-shot results; None: the largest that all of them have.

    Raises:
        ConfigError: no such result, fewer than two, or an amount that one lacks.
    """
    paths = [path for name in names for path in _experiments(find_summary(name, folder))]
    summaries = {path.resolve(): (path, read_summary(path)) for path in paths}
    if len(summaries) < 2:
        found = f"one, {next(iter(summaries)).name}, by {', '.join(names)}" if len(names) > 1 else ", ".join(names)
        raise ConfigError("a comparison needs two results or more", found=found)
    few = [set(_amounts(s)) for _, s in summaries.values() if isinstance(s, FewshotSummary)]
    if at is not None and not few:
        raise ConfigError(
            f"--at {at} is an amount of target data, and none of the results is few-shot", action="Leave --at out."
        )
    if few and at is None:
        common = set.intersection(*few)
        at = max(common, key=amount_value) if common else None
    return [_member(path, summary, at) for path, summary in summaries.values()]


def _experiments(path: Path) -> list[Path]:
    """The summary itself, or those of a study's experiments; of a search that of the chosen setting alone."""
    found = read_record(path)
    return [beside(path, record) for record in found.compared()] if isinstance(found, StudyRecord) else [path]


def _amounts(summary: FewshotSummary) -> dict[str, AmountNumbers | Numbers]:
    """The numbers at each amount of target data, the source model's among them."""
    source = {"0%": summary.source.zero_shot} if summary.source else {}
    return {**summary.percentages, **source}


def _member(path: Path, summary: Summary | FewshotSummary, at: str | None) -> Member:
    runs, amount = summary.runs, None
    if isinstance(summary, FewshotSummary):
        parts = _amounts(summary)
        if at not in parts:
            raise ConfigError(
                f"{summary.experiment} has no amount {at}" if at else "the few-shot results have no amount in common",
                expected=f"--at one of {', '.join(sorted(parts, key=amount_value))}",
            )
        amount = at
        classes = classes_of(parts[at])
        runs = [row for row in runs if amount_name(**amount_of(row)) == at]
    else:
        classes = classes_of(summary)
    return Member(path, summary, amount, classes, runs, tested_rows(read_predictions(path, runs)))


def tested_on(summary: Summary | FewshotSummary) -> str:
    """The dataset whose utterances are tested: of a transfer the target."""
    target = summary.data.get("target")
    return target if isinstance(target, str) else dataset_of(summary)


def pair(members: Sequence[Member]) -> tuple[list[Member], Pairing]:
    """The members with the runs and folds that all have, numbered alike.

    Runs pair by the seed of each fold; where no seed is shared (a transfer's source model is trained once for all folds), by
    their number. Where a model is tested in several folds, these count as one: `all`.

    Raises:
        ConfigError: they are not comparable; the message names the difference.
    """
    _refuse_other_data(members)
    members = _under_own_names(members)
    notes: list[str] = []
    given, members = members, _repeated(members, notes)
    folds = _common([list(dict.fromkeys(r.fold for r in m.runs)) for m in members], "folds", members, notes)
    keys = [_keys(m, folds) for m in members]
    by: Literal["seed", "run"] = "seed"
    common = [key for key in keys[0].values() if all(key in own.values() for own in keys[1:])]
    if not common:
        by = "run"
        keys = [{run: (run,) for run in own} for own in keys]
        common = [key for key in keys[0].values() if all(key in own.values() for own in keys[1:])]
        notes.append("the results share no seeds: runs are matched by their number")
    if not common:
        raise ConfigError("the results have no run in common", found=_each(members, lambda m: f"{len(_runs(m))} runs"))
    for member, own in zip(members, keys, strict=True):
        left = len(own) - len(common)
        notes += [f"{member.name}: {left} of {len(own)} runs have no counterpart and are left out"] if left else []
    merged = any(_shares_models(m, folds) for m in given)
    number = {key: k for k, key in enumerate(common)}
    found = [_chosen(m, own, number, folds, merged) for m, own in zip(members, keys, strict=True)]
    found = [replace(m, frame=f) for m, f in zip(found, alike([m.frame for m in found]), strict=True)]
    _refuse_other_utterances(found)
    if merged and len(folds) > 1:
        notes.append(f"one model is tested in several folds: the {len(folds)} folds count as one")
    return found, Pairing(by, len(common), ["all"] if merged else folds, notes)


def _under_own_names(members: Sequence[Member]) -> Sequence[Member]:
    """The members with the tested corpus's own ids and speakers, where only some results have them as `corpus/NAME`.

    Rows of a source and a target are joined under such names (`ser.train.runs.joined_corpora.join`); without a source they
    keep their own.
    """
    joined = [isinstance(m.summary.data.get("source"), str) for m in members]
    if len(set(joined)) == 1:
        return members
    found = []
    for member, own in zip(members, joined, strict=True):
        frame = member.frame
        if own:
            corpus = f"{tested_on(member.summary)}/"
            columns = ("utterance_id", "speaker")
            frame = tested_rows(frame.assign(**{c: frame[c].str.removeprefix(corpus) for c in columns}))
        found.append(replace(member, frame=frame))
    return found


def _repeated(members: Sequence[Member], notes: list[str]) -> Sequence[Member]:
    """The members, with the one run of a system that was not trained here as often as the results have runs that it meets.

    Its predictions are fixed: each seed of the others is compared with the same. As copies they are no more evidence than one
    (`paired.is_copies`), so the tests and intervals are of the others' seeds and of the speakers.
    """
    seeds = [m for m in members if not (is_system(m.summary) and len(_runs(m)) == 1)]
    if not seeds or len(_runs(seeds[0])) == 1 or len(seeds) == len(members):
        return members
    runs, seed = _runs(seeds[0]), {(r.run, r.fold): r.seed for r in seeds[0].runs}
    found = []
    for member in members:
        if member not in seeds:
            rows = [
                msgspec.structs.replace(row, run=run, seed=seed.get((run, row.fold), row.seed))
                for run in runs
                for row in member.runs
            ]
            frame = pd.concat([member.frame.assign(run=run) for run in runs], ignore_index=True)
            notes.append(
                f"{member.name}: its one run is fixed, and is compared with each of the {len(runs)} runs of the others"
            )
            member = replace(member, runs=rows, frame=tested_rows(frame))
        found.append(member)
    return found


def _common(each: list[list[str]], what: str, members: Sequence[Member], notes: list[str]) -> list[str]:
    common = [name for name in each[0] if all(name in own for own in each[1:])]
    if not common:
        raise ConfigError(
            f"the results have no {what} in common",
            expected="results of one protocol with the same number of folds",
            found=_each(members, lambda m: ", ".join(_folds(m))),
            action="Train one again with the --protocol and --folds of the other.",
        )
    for member, own in zip(members, each, strict=True):
        left = len(own) - len(common)
        notes += [f"{member.name}: {left} of {len(own)} {what} are in it alone and are left out"] if left else []
    return common


def _keys(member: Member, folds: list[str]) -> dict[int, tuple[int, ...]]:
    """By run: the seeds of the folds; runs that lack one of the folds are left out."""
    seeds = {(r.run, r.fold): int(r.seed) for r in member.runs}
    return {
        run: tuple(seeds[run, fold] for fold in folds) for run in _runs(member) if all((run, fold) in seeds for fold in folds)
    }


def _runs(member: Member) -> list[int]:
    return list(dict.fromkeys(int(r.run) for r in member.runs))


def _folds(member: Member) -> list[str]:
    return list(dict.fromkeys(str(r.fold) for r in member.runs))


def _shares_models(member: Member, folds: list[str]) -> bool:
    """True if folds of a run share one model, or begin with the same weights: those of a source."""
    rows = [r for r in member.runs if r.fold in folds]
    alike = len({(r.run, r.seed) for r in rows}) < len(rows)
    return alike or "source" in member.summary or isinstance(member.summary.data.get("source"), str)


def _chosen(
    member: Member, keys: dict[int, tuple[int, ...]], number: dict[tuple[int, ...], int], folds: list[str], merged: bool
) -> Member:
    runs = {run: number[key] for run, key in keys.items() if key in number}
    frame = member.frame[member.frame["run"].isin(runs) & member.frame["fold"].isin(folds)]
    frame = frame.assign(run=frame["run"].map(runs), **({"fold": "all"} if merged else {}))
    return replace(member, frame=tested_rows(frame))


def _refuse_other_data(members: Sequence[Member]) -> None:
    kind = _kind(members[0].frame)
    facts: dict[str, Callable[[Member], str]] = {
        "another dataset": lambda m: tested_on(m.summary),
        "another target": lambda m: _kind(m.frame),
        "another label scheme": lambda m: str(scheme_of(m)),
        "another protocol": lambda m: str(fact_of(m.summary, "protocol")),
        f"other {kind if kind in ('dimensions', 'labels') else 'classes'}": lambda m: ", ".join(sorted(m.classes)),
    }
    shown = {"another target": _learned}
    ways = {
        "another dataset": "on the other's corpus",
        "another target": "with the other's --target",
        "another label scheme": "with the other's --scheme",
        "another protocol": "with the other's --protocol",
    }
    for what, of in facts.items():
        if len({of(m) for m in members}) > 1:
            raise ConfigError(
                f"the results are not comparable: {what}",
                found=_each(members, shown.get(what, of)),
                action=f"Train or test one of them again {ways[what]}." if what in ways else None,
            )


def scheme_of(member: Member) -> str | None:
    """The label scheme of what is compared; None of dimensions, in which none has a part."""
    return None if _kind(member.frame) == DIMENSIONS else word_of(member.summary, "scheme") or None


def _refuse_other_utterances(members: Sequence[Member]) -> None:
    """Refuse results that were not tested, run by run, on the same utterances, speakers and labels."""
    first, *others = members
    columns = ["run", "fold", "utterance_id"]
    for other in others:
        both = first.frame.merge(other.frame, on=columns, how="outer", suffixes=("", "_other"), indicator=True)
        alone = both[both["_merge"] != "both"]
        if len(alone):
            missing = sorted(set(alone["utterance_id"]))
            raise ConfigError(
                f"{first.name} and {other.name} were not tested on the same utterances",
                expected="the same test utterances in each fold",
                found=f"{len(missing)} that only one of them has, or has in another fold: {', '.join(missing[:3])}"
                f"{', ...' if len(missing) > 3 else ''}",
                action=f"Train both with the same protocol{', folds and label scheme' if scheme_of(first) else ' and folds'}, "
                "on stores of the same utterances, which --audio and --text choose.",
            )
        for column in (*truth_columns(first.frame), "speaker"):
            differs = both[column] != both[f"{column}_other"]
            if differs.any():
                row = both[differs].iloc[0]
                raise ConfigError(
                    f"{first.name} and {other.name} differ in column {column} of {differs.sum()} test predictions",
                    expected="the same table behind both",
                    found=f"{row['utterance_id']}: {row[column]!r} and {row[f'{column}_other']!r}",
                )


def _kind(frame: pd.DataFrame) -> str:
    """The kind of target; results on votes and on one class have the metrics of classes in common."""
    kind = measure_of(frame).kind
    return "emotion" if kind == "votes" else kind


def _learned(member: Member) -> str:
    """The target as it was asked for; of dimensions their names, which may stand beside the class."""
    kind = measure_of(member.frame).kind
    return ",".join(member.classes) if kind == "dimensions" else ",".join([kind, *dimensions_beside(member.frame)])


def _each(members: Sequence[Member], of: Callable[[Member], str]) -> str:
    return "; ".join(f"{m.name}: {of(m)}" for m in members)
