"""A study: several experiments that are trained together and compared in one record."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ser.errors import SerError
from ser.results.records.stamps import EQUAL_RUNS
from ser.results.result import Result
from ser.results.stored.runs import write_record
from ser.results.stored.summary import OpeningFields, opening
from ser.results.studies import StudyRecord
from ser.train.runs.experiment import Experiment, name_words
from ser.train.runs.identity import name_and_file
from ser.train.runs.options import FitOptions, with_stores
from ser.train.runs.scheduler import train_all

PARTS = ("validation", "test", "pooled")


@dataclass(eq=False)
class Variant:
    """One experiment of a study.

    Attributes:
        name: its name in the study; "" where it needs none.
        experiment: None where its options were refused, and the study goes on without it.
        facts: facts beside its numbers: modalities, method, setting.
        refusal: the reason why there is no experiment.
    """

    name: str
    experiment: Experiment | None
    facts: dict[str, Any] = field(default_factory=dict)
    refusal: SerError | None = None

    @property
    def error(self) -> SerError | None:
        """The reason why the variant has no numbers; None where it has some."""
        return self.refusal if self.experiment is None else self.experiment.error

    @property
    def result(self) -> Experiment:
        """The experiment of a variant that has numbers."""
        assert self.experiment is not None
        assert self.error is None
        return self.experiment

    def row(self, study: Path) -> dict[str, Any]:
        """The fields of the variant in the record of a study: name, facts, experiment and numbers."""
        numbers = {part: self.result.numbers[part] for part in PARTS}
        return {"name": self.name, **self.facts, **self.result.reference(study), **numbers}


class StudyFields(OpeningFields):
    """The fields that all records of studies begin with, and the notes of all runs."""

    notes: list[str]


def study(
    variants: Sequence[Variant],
    options: FitOptions,
    *,
    words: Sequence[str],
    config: dict[str, Any],
    data: dict[str, Any],
    stamps: Sequence[str],
    record: Callable[[StudyFields, Path], StudyRecord],
    head: str | None = None,
    train: Callable[[Sequence[Experiment], FitOptions, str], None] = train_all,
    seconds: Callable[[], float] | None = None,
) -> Result:
    """Train all missing runs of the variants together, write the summary of each, then the record that compares them.

    Args:
        options: what the user gave; `output` is of the study.
        words: of the study's name.
        config: of the record: what the study's name is made of.
        data: of the record: the facts of the data, as `Setup.facts` states them (of the target where there are two corpora).
        stamps: of the record.
        record: makes the record of these fields, given its path; called when all summaries are written.
        head: of the study's name; None: that of the options.
        train: gives the experiments their runs, and those that failed their error.
        seconds: of all training; None: the sum of the variants'.

    Returns:
        The content of the record, as written.

    Raises:
        SerError: no variant has a result; it is the error of the first.
    """
    words = name_words(words, head or options.head, data["protocol"], options)
    name, path = name_and_file(options.workspace, options.output, words, config)
    experiments = [v.experiment for v in variants if v.experiment is not None]
    command = _command(options.command, experiments)
    for experiment in experiments:
        experiment.options = replace(experiment.options, command=command)
    if experiments:
        train(experiments, options, name)
    sound = [v for v in variants if v.error is None]
    if not sound:
        raise next(v.error for v in variants if v.error is not None)
    for variant in sound:
        variant.result.summarise(part=True)
    equal = [v.name for v in sound if EQUAL_RUNS in v.result.stamps]
    told = [EQUAL_RUNS] if len(equal) == len(sound) else [f"{one}: {EQUAL_RUNS}" for one in equal]
    fields: StudyFields = {
        **opening(
            name,
            command,
            config,
            data,
            list(dict.fromkeys([*stamps, *told])),
            options.started,
            sum(v.result.seconds for v in sound) if seconds is None else seconds(),
            experiments[0].job.device,
        ),
        "notes": [f"{v.name}: {note}" for v in sound for note in v.result.notes],
    }
    found = write_record(path, record(fields, path))
    result = options.result(found)
    if found.PICTURE:
        from ser.results.plotting.gallery import write_beside

        write_beside(result)
    return result


def _command(command: str, experiments: Sequence[Experiment]) -> str:
    """Name every store that a variant reads in the command: of the dataset with the most, as corpora share names of stores."""
    if not experiments:
        return command
    stores: dict[str, dict[tuple[str, str], None]] = {}
    for experiment in experiments:
        of_dataset = stores.setdefault(experiment.job.data.dataset, {})
        of_dataset.update(dict.fromkeys((block.name, block.modality) for block in experiment.job.data.blocks))
    most = max(stores.values(), key=len)
    return with_stores(command, most)
