"""The model that is evaluated, an experiment with all its runs and folds or one saved head, and what is asked of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import pandas as pd

from ser.errors import ConfigError
from ser.jsonfile import plain
from ser.metadata.targets import ONE_CLASS, Target, parse_target
from ser.results.metrics.measures import outputs_of
from ser.results.records.find import beside, experiments_of, find_summary, no_model, verb
from ser.results.records.kinds import read_record, read_run_record, read_summary
from ser.results.records.model import FewshotSummary, RunRecord, RunRow, Summary
from ser.results.records.names import ALL_ROWS, HEAD, SHARED_FOLDS, amount_name, amount_of, amount_value, head_file_name
from ser.results.stored.runs import read_predictions
from ser.train.checkpoint import HeadFacts, SavedHead, head_facts, load_head
from ser.workspace import Workspace

SAVING = ("fit", "combine", "transfer", "adapt", "finetune")  # commands with --save
Key = tuple[int, str]  # run and fold


def head_of_file(path: Path) -> SavedHead:
    """Read a saved head; the last ones are kept as long as their files are the same."""
    try:
        state = path.stat()
    except OSError:
        return load_head(path)  # which says why
    return _kept_head(path, state.st_ino, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _kept_head(path: Path, *_: int) -> SavedHead:
    return load_head(path)


@dataclass(frozen=True)
class EvaluationOptions:
    """What is asked of a model; `ser.evaluation.evaluate.evaluate` says what the fields mean."""

    dataset: str | None
    scheme: str | None
    calibrate: bool
    conformal: float | None
    tta: bool
    suite: bool
    views: Sequence[str] | None
    limits: Sequence[str]
    novelty: Sequence[str]
    explain: bool
    examples: int

    @property
    def runs_heads(self) -> bool:
        """True if heads must be run, although their predictions are recorded."""
        return self.tta or self.suite or self.explain or bool(self.novelty)


@dataclass(frozen=True, eq=False)
class EvaluatedModel:
    """An experiment, or a saved head that may have a record.

    Attributes:
        name: the name that the evaluation's file begins with.
        path: of the summary; of the head where it has none.
        summary: None where a head lies alone.
        runs: the summary's runs that are evaluated: all, or those of one head, or of one amount of target data.
        heads: saved heads by run and fold.
        single: true for one head.
        amount: the amount of target data, of a few-shot record; else "".
    """

    name: str
    path: Path
    summary: Summary | FewshotSummary | None
    runs: list[RunRow]
    heads: dict[Key, Path]
    single: bool
    amount: str = ""

    def head(self, key: Key) -> SavedHead:
        """The saved head of a run and fold."""
        return head_of_file(self.heads[key])

    @property
    def first_head(self) -> SavedHead:
        """The head that is read for facts that all have in common."""
        return self.head(next(iter(self.heads)))

    @cached_property
    def first_facts(self) -> HeadFacts:
        """The header of the first head, whose weights are not read."""
        return head_facts(next(iter(self.heads.values())))

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The recorded predictions of the runs, validation and test."""
        assert self.summary is not None
        return read_predictions(self.path, self.runs)

    @property
    def classes(self) -> list[str]:
        if self.summary is None:
            return list(self.first_facts.classes)
        return outputs_of(self.predictions)

    @property
    def corpora(self) -> list[str]:
        """All corpora that it was trained or tested on."""
        if self.summary is None:
            return self.first_facts.dataset.split("+")
        data = self.summary.data
        return list(data["datasets"]) if "datasets" in data else [str(data["dataset"])]

    @property
    def tested(self) -> str | None:
        """The corpus that it was tested on: the only one, or the target; None where it was tested on several."""
        target = None if self.summary is None else self.summary.data.get("target")
        return str(target) if target else self.corpora[0] if len(self.corpora) == 1 else None

    @property
    def learns(self) -> Target:
        """The target that the heads learned."""
        found = self.first_facts.learns if self.summary is None else self.summary.data.get("learns")
        return parse_target(found) if isinstance(found, str) else ONE_CLASS

    @property
    def scheme(self) -> str | None:
        """The label scheme of the record; None without one."""
        return None if self.summary is None else self.summary.data.get("scheme")

    @property
    def stamps(self) -> list[str]:
        return list(self.first_facts.stamps if self.summary is None else self.summary.stamps)

    @property
    def stores(self) -> list[str]:
        """The names of the stores that the heads read, in their order."""
        return [i.name for i in self.first_head.inputs]

    @property
    def average(self) -> str:
        """The average of weights that the heads were trained with: `none`, `swa` or `ema`."""
        recorded = {} if self.summary is None else self.summary.config
        config = self.first_facts.config if self.heads else recorded
        return str(config.get("average", "none"))

    @property
    def snapshots(self) -> int:
        """The number of snapshots in each saved head; 1 where heads are missing."""
        if not self.heads or self.missing:
            return 1
        return int(self.first_facts.config.get("snapshots", 1))

    def record(self, key: Key) -> RunRecord:
        """The record of a run and fold; of a head that several folds share, that of the first."""
        run, fold = key
        found = next(r for r in self.runs if r.run == run and (fold in SHARED_FOLDS or r.fold == fold))
        return read_run_record(beside(self.path, found.record))

    def rows_of(self, key: Key, rows: pd.DataFrame | None = None) -> pd.DataFrame:
        """A head's predictions, those of its run and fold or of all folds that share it, among some; None: the recorded."""
        run, fold = key
        rows = self.predictions if rows is None else rows
        own: pd.DataFrame = rows[rows["run"] == run]
        return own if fold in SHARED_FOLDS else own[own["fold"] == fold]

    def head_rows(self, rows: pd.DataFrame) -> list[tuple[Key, pd.DataFrame]]:
        """Select from some predictions those of each saved head; of a head that folds share, those of all its folds.

        Raises:
            ConfigError: several folds share a head on dialogues: each fold tested it on sequences of its own turns alone.
        """
        found = []
        for key in self.heads:
            own = self.rows_of(key, rows)
            if own["fold"].nunique() > 1 and self.head(key).config.context == "dialogue":
                raise ConfigError(
                    f"a head on dialogues that {own['fold'].nunique()} folds share cannot be run again as it was tested: "
                    "each fold showed it its own turns of a dialogue alone",
                    expected="a head of one fold",
                    action="Take a protocol of one fold: --protocol official.",
                )
            if len(own):
                found.append((key, own))
        return found

    @property
    def missing(self) -> list[str]:
        """The runs and folds without a saved head."""
        return [
            f"run {r.run}, fold {r.fold}"
            for r in self.runs
            if not {(r.run, r.fold), *((r.run, f) for f in SHARED_FOLDS)} & set(self.heads)
        ]

    def need_heads(self, what: str) -> None:
        """Refuse what does not follow from probabilities alone.

        Raises:
            ConfigError: heads are missing; the message says which command saves them.
        """
        missing = self.missing
        if missing or not self.heads:
            some = f"{len(missing)} of {len(self.runs)} are missing, first {missing[0]}" if missing else "none"
            command = self.summary.command if self.summary else "ser fit ..."
            raise ConfigError(f"{what} needs the saved heads of {self.name}", found=some, action=_saving(command))


def _saving(command: str) -> str:
    """Advice on how to save the heads of an experiment, by the command that trained it."""
    if "--grid" in command or "--random" in command:
        return "Fit the chosen setting by itself: ser fit ... --save"
    if verb(command) not in SAVING:
        return f"ser {verb(command)} saves no heads: train with one of ser {', ser '.join(SAVING)}, and --save."
    if not command.startswith("ser "):
        return "Train with save=True."
    return f"Train again with: {command}" if "--save" in command.split() else f"Train again with: {command} --save"


def find_model(model: str, workspace: Workspace, amount: str | None = None) -> EvaluatedModel:
    """Find an experiment by name or file, or a saved head by file.

    Args:
        model: as for `ser results show`, or a file that ends in `.safetensors`.
        amount: of a few-shot record, as `10%` or `5 shots`; None takes the largest.

    Raises:
        ConfigError: there is none, or it is a study, whose experiments are listed.
    """
    if model.endswith(HEAD):
        return _of_head(Path(model))
    try:
        path = find_summary(model, workspace.results)
    except ConfigError as error:
        if inside := sorted(Path(model).glob(f"*{HEAD}")):
            raise ConfigError(
                f"{model} is a folder with {len(inside)} saved heads", expected=f"one of them, such as {inside[0]}"
            ) from None
        raise no_model(model, error, f"an experiment, its record, or the file of a saved head ({HEAD})") from None
    summary = read_record(path)
    if not isinstance(summary, (Summary, FewshotSummary)):
        parts = experiments_of(plain(summary))
        raise ConfigError(
            f"{path.name} is not an experiment",
            expected=f"one of its experiments: {', '.join(parts)}" if parts else "an experiment or a saved head",
        )
    runs, chosen = _of_amount(summary, path, amount)
    folder = path.with_name(path.name.removesuffix(".json"))
    heads = {}
    for r in runs:
        for fold in (r.fold, *SHARED_FOLDS):
            file = folder / head_file_name(r.run, fold)
            if file.is_file():
                heads[r.run, fold] = file
                break
    return EvaluatedModel(summary.experiment, path, summary, runs, heads, False, chosen)


def _of_amount(summary: Summary | FewshotSummary, path: Path, amount: str | None) -> tuple[list[RunRow], str]:
    """Select the runs with one amount of target data; return them and the amount, "" where the record is not few-shot."""
    runs = summary.runs
    if isinstance(summary, Summary):
        if amount is not None:
            raise ConfigError(f"--amount {amount}: {path.name} is not a few-shot record", action="Leave --amount out.")
        return runs, ""
    names = sorted({amount_name(**amount_of(r)) for r in runs} - {amount_name(0)}, key=amount_value)
    chosen = amount or names[-1]
    if chosen not in names:
        raise ConfigError(f"--amount {chosen}", expected=f"one of {', '.join(names)}")
    return [r for r in runs if amount_name(**amount_of(r)) == chosen], chosen


def _of_head(path: Path) -> EvaluatedModel:
    about = head_facts(path)
    key = (int(about.run), str(about.fold))
    file = path.resolve().parent
    file = file.with_name(f"{file.name}.json")
    name = f"{about.experiment}.{path.name.removesuffix(HEAD)}"
    if not file.is_file():
        return EvaluatedModel(name, path, None, [], {key: path}, True)
    summary = read_summary(file)
    if summary.config_hash != about.config_hash:
        raise ConfigError(f"{path} is not of the experiment {file}", action="Train it again: ser fit ... --save")
    runs = [r for r in summary.runs if r.run == key[0] and (key[1] in SHARED_FOLDS or r.fold == key[1])]
    if key[1] == ALL_ROWS:
        raise ConfigError(
            f"{path} is a final head, which was trained on all utterances and has no test part",
            expected="the experiment, each of whose heads was tested on what it had not seen",
            action=f"ser evaluate --model {about.experiment}",
        )
    if not runs:
        raise ConfigError(f"{file} has no run {key[0]}, fold {key[1]}")
    return EvaluatedModel(name, file, summary, runs, {key: path}, True)
