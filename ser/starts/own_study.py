"""own_study: a study of one's own, which puts the same experiment with several heads side by side.

`Study` is its record: the list of results, the terminal, reports, comparisons and `ser results verify` ask it. `make` trains
what it is made of and writes it, and `command` is that on the command line.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

import click

import ser
from ser.commands._base import Command, Session
from ser.commands._configuration import recorded_command
from ser.commands._training import options_of, report
from ser.jsonfile import Model
from ser.results.blocks import Block, Table
from ser.results.cells import main_head, score_cells, score_heads, with_interval
from ser.results.records.numbers import Metrics
from ser.results.result import Result
from ser.results.stored.runs import write_record
from ser.results.stored.study_experiments import Experiments
from ser.results.stored.summary import opening
from ser.results.studies import Parts, Recomputed, Standing, StudyRecord

NAME = "own_study"


class OfHead(Model, kw_only=True):
    """The experiment of one head: its name, its record, from the study's folder, and its scores."""

    name: str
    experiment: str
    record: str
    validation: Metrics | None
    test: Metrics
    pooled: Metrics


class Study(StudyRecord, kw_only=True):
    """Heads side by side. The first of those with the best validation score stands for the study."""

    schema: Literal["own_study/1"] = "own_study/1"
    heads: list[OfHead]

    def standing(self) -> Standing:
        best = max(self.heads, key=lambda one: one.validation.main.mean if one.validation else 0)
        return Standing.at(best.name, best.pooled, best.validation)

    def members(self) -> list[tuple[str, str]]:
        return [(one.name, one.record) for one in self.heads]

    def lead(self) -> str:
        said = (f"{one.name} {with_interval(one.pooled.main)}" for one in self.heads)
        return f"{main_head(self.heads[0].pooled)} on {self.dataset}: {', '.join(said)}."

    def blocks(self) -> list[Block]:
        rows = [[one.name, *score_cells(one.pooled)] for one in self.heads]
        return [Table("Scores of each head", ["head", *score_heads(self.heads[0].pooled)], rows, left=1)]

    def parts(self) -> Parts:
        for one in self.heads:
            yield one.name, {"validation": one.validation, "test": one.test, "pooled": one.pooled}

    def recomputed(self, experiments: Experiments) -> Recomputed:
        frames = experiments.frames(self.heads)
        for k, one in enumerate(self.heads):
            yield from experiments.scores(f"$.heads[{k}]", one, frames.get(one.name))


def make(dataset: str, heads: Sequence[str], workspace: Any, command: str = NAME, **options: Any) -> Result:
    """Train each head as `ser.fit` does, with its options, and write the study beside their records."""
    results = [ser.fit(dataset, workspace, head=head, **options) for head in heads]
    records: list[Any] = [result.record for result in results]
    config = {"heads": {head: record.config for head, record in zip(heads, records, strict=True)}}
    name = f"{NAME}-{dataset}-{hashlib.sha256(repr(config).encode()).hexdigest()[:8]}"
    study = Study(
        **opening(
            name,
            command,
            config,
            records[0].data,
            list(dict.fromkeys(stamp for record in records for stamp in record.stamps)),
            records[0].time.started,
            sum(record.time.seconds for record in records),
            records[0].environment.device,
        ),
        heads=[
            OfHead(
                name=head,
                experiment=record.experiment,
                record=f"{record.experiment}.json",
                validation=record.validation,
                test=record.test,
                pooled=record.pooled,
            )
            for head, record in zip(heads, records, strict=True)
        ],
    )
    path = results[0].path.with_name(f"{name}.json")
    write_record(path, study)
    return Result.of(study, path)


@click.command(NAME, cls=Command)
@click.option("--dataset", required=True)
@click.option("--head", "heads", multiple=True, required=True, help="May be repeated.")
@options_of("audio", "text", "scheme", "protocol", "folds", "runs", "jobs")
def command(session: Session, dataset: str, heads: tuple[str, ...], **options: Any) -> None:
    """Train several heads on one dataset, and put them side by side."""
    report(session, make(dataset, heads, session.workspace, recorded_command(), quiet=session.quiet, **options))
