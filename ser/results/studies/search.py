"""Search over settings: validation scores of all, test scores of the one that they chose."""

from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import UNSET, Meta, UnsetType

from ser.jsonfile import Count, Model, Positive, require
from ser.results.blocks import Block, Notice, Table
from ser.results.cells import head_of, main_head, many, number, score, score_cells, score_heads, setting, with_interval
from ser.results.records.model import Beside, Notes, RunRecord
from ser.results.records.numbers import Metrics
from ser.results.records.study_numbers import Nested
from ser.results.studies import Parts, Recomputed, Standing, StudyRecord

if TYPE_CHECKING:
    import pandas as pd

    from ser.results.stored.study_experiments import Experiments


class Left(Model, kw_only=True):
    """A run that left early, in a search by successive halving."""

    fold: str
    run: Count
    epoch: Positive
    validation: Annotated[float, Meta(description="The best score on validation until then.")]


class Setting(Model, kw_only=True):
    """A setting that was tried. Its test scores are in its own record only, as they must not choose."""

    setting: dict[str, Any]
    experiment: str | None
    record: Annotated[Beside | None, Meta(description="Its summary, from this file's folder; null if it has none.")]
    validation: Annotated[Metrics | None, Meta(description="null if it failed, or was not trained to the end.")]
    left: Annotated[list[Left], Meta(description="Runs that left early, even if trained to the end later.")] | UnsetType = UNSET
    error: str | None


class Chosen(Model, kw_only=True):
    """The setting that validation chose, with its test scores."""

    setting: dict[str, Any]
    experiment: str
    record: Beside
    validation: Metrics
    test: Metrics
    pooled: Metrics


class Study(StudyRecord, kw_only=True):
    """Search over settings: validation scores of all, test scores of the one that they chose."""

    schema: Literal["ser.search/1"] = "ser.search/1"
    notes: Notes | UnsetType = UNSET
    chosen_by: Annotated[str, Meta(description="What decided.")]
    tried: Annotated[int, Meta(ge=1, description="Settings, failed ones too.")]
    failed: Count
    halving: Annotated[int, Meta(ge=2, description="One run in so many went on at a rung.")] | UnsetType = UNSET
    settings: Annotated[list[Setting], Meta(min_length=1, description="In the order tried.")]
    chosen: Chosen
    nested: Nested | UnsetType = UNSET

    def __post_init__(self) -> None:
        fits = any(s.validation is not None for s in self.settings)
        require(fits, "Expected a setting with scores on validation")

    def standing(self) -> Standing:
        return Standing.at("chosen", self.chosen.pooled, self.chosen.validation)

    def members(self) -> list[tuple[str, str]]:
        return [(setting(s.setting), s.record) for s in self.settings if s.record is not None]

    def compared(self) -> list[str]:
        return [self.chosen.record]

    def lead(self) -> str:
        own = self.chosen.pooled
        return f"Chosen: {setting(self.chosen.setting)}, {main_head(own)} {with_interval(own.main)} on test."

    def counted(self) -> str:
        """The numbers of settings that were tried, and what became of them."""
        found = f"{self.tried} settings tried, {self.failed} failed"
        if not self.halving:
            return found
        finished = sum(s.validation is not None for s in self.settings)
        return f"{found}, {finished} trained to the end, {self.tried - self.failed - finished} with runs that left early"

    def blocks(self) -> list[Block]:
        rows = [[f"chosen: {setting(self.chosen.setting)}", *score_cells(self.chosen.pooled)]]
        note = "Test predictions of all folds together."
        if self.nested:
            rows.append(["nested: chosen fold by fold", *score_cells(self.nested.pooled)])
            note += " nested: the setting of each fold chosen on its own validation part."
        tried = [
            [
                *(setting(s.setting), *(score(s.validation.of(m)) for m in self.metrics[:2])),
                "chosen" if s.setting == self.chosen.setting else "",
            ]
            for s in self.settings
            if s.validation is not None
        ]
        left = [
            [
                setting(s.setting),
                str(len(s.left)),
                " to ".join(dict.fromkeys(str(f(one.epoch for one in s.left)) for f in (min, max))),
                number(fmean(one.validation for one in s.left)),
            ]
            for s in self.settings
            if s.left
        ]
        failed = [f"{setting(s.setting)}: {s.error}" for s in self.settings if s.error is not None]
        how = f"{self.counted()}; chosen by {self.chosen_by}."
        if self.halving:
            gone = sum(len(s.left) for s in self.settings if s.left)
            how += f" Successive halving by {self.halving}: {many(gone, 'run')} left early."
        head = ["setting", *(f"validation {head_of(m)}" for m in self.metrics[:2]), ""]
        return [
            Table("Scores of the chosen setting", ["test", *score_heads(self.chosen.pooled)], rows, note=note),
            *(self._picked_by_fold(self.nested) if self.nested else []),
            Table("Settings on validation", head, tried, note=how),
            *(
                [Table("Runs that left early", ["setting", "runs", "after epoch", "best validation score"], left)]
                if left
                else []
            ),
            *([Notice("Settings that failed", failed)] if failed else []),
        ]

    def _picked_by_fold(self, chosen: Nested) -> list[Block]:
        """The setting that each fold chose. One with runs that left on other folds has no mean score in the table beside it."""
        finished = [s.setting for s in self.settings if s.validation is not None]
        rows = [
            [fold, setting(own) + ("" if own in finished else " (left early on other folds)")]
            for fold, own in chosen.settings.items()
        ]
        return [Table("nested: the setting that each fold chose", ["fold", "setting"], rows, left=2)]

    def parts(self) -> Parts:
        chosen = self.chosen
        yield "chosen", {"validation": chosen.validation, "test": chosen.test, "pooled": chosen.pooled}
        if self.nested:
            yield "nested", {"test": self.nested.test, "pooled": self.nested.pooled}

    def recomputed(self, experiments: "Experiments") -> Recomputed:
        from ser.results.statistics.chosen_setting import nested

        done = {}
        for k, s in enumerate(self.settings):
            if s.record is not None and s.validation is not None:
                runs = experiments.runs(s.record, str(s.experiment), s.validation.main.n)
                if runs is not None:
                    done[k] = runs
                    yield from experiments.scores(f"$.settings[{k}]", s, runs.predictions, ("validation",))
        of = next((done[k] for k in done if self.settings[k].setting == self.chosen.setting), None)
        if of is None:
            return
        yield from experiments.scores("$.chosen", self.chosen, of.predictions)
        found = {k: s.validation.main.mean for k, s in enumerate(self.settings) if s.validation is not None}
        yield "$.chosen.setting", self.chosen.setting, self.settings[max(found, key=lambda k: found[k])].setting
        if self.halving is not UNSET:
            yield from self._chosen_again(experiments, sorted(set(of.predictions["fold"])))
        if self.nested is not UNSET:
            pairs = [done[k].pairs() if k in done else [] for k in range(len(self.settings))]
            if self.halving is not UNSET:
                pairs = self._picked(self.nested, experiments)
                if not all(fold in {r.fold for own in pairs for r, _ in own} for fold in self.nested.settings):
                    experiments.verdict.missing.append("nested cannot be recomputed without all runs of the settings it names")
                    return
            classes = experiments.classes(of.predictions)
            yield "$.nested", self.nested, nested([s.setting for s in self.settings], pairs, classes)

    def _chosen_again(self, experiments: "Experiments", folds: list[str]) -> Recomputed:
        """The choices of a search by halving, of the scores at leaving and of the records of runs trained to the end."""
        from ser.results.statistics.chosen_setting import halved_choices

        runs = self.chosen.pooled.main.n
        left: list[dict[tuple[str, int], float] | None] = []
        ended: list[dict[tuple[str, int], float]] = []
        for s in self.settings:
            left.append(None if s.error is not None else {(x.fold, x.run): x.validation for x in s.left or ()})
            ended.append({})
            for fold, run in () if s.error is not None else product(folds, range(runs)):
                read = experiments.of_run(self.chosen.record, str(s.experiment), fold, run)
                if read is not None and read[0].validation:
                    ended[-1][fold, run] = read[0].validation.main
        try:
            each, best = halved_choices(left, ended, folds, runs)
        except KeyError:
            experiments.verdict.missing.append("the choices cannot be made again without the records of all runs that ended")
            return
        yield "$.chosen.setting", self.chosen.setting, self.settings[best].setting
        if self.nested is not UNSET:
            own = {fold: self.settings[k].setting for fold, k in each.items()}
            yield "$.nested.settings", self.nested.settings, own

    def _picked(self, chosen: Nested, experiments: "Experiments") -> list[list[tuple[RunRecord, "pd.DataFrame"]]]:
        """By setting, its runs on the folds that chose it; it may have no summary, as runs on other folds left."""
        return [
            [
                run
                for fold, picked in chosen.settings.items()
                if picked == s.setting and s.experiment is not None
                for run in experiments.of_fold(self.chosen.record, s.experiment, fold, self.chosen.pooled.main.n)
            ]
            for s in self.settings
        ]
