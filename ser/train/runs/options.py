"""Options of an experiment, stated once: their defaults, types and texts serve Python, its help and the command line.

Options of training (epochs, learning rate, ...) are the fields of `ser.train.loop.config.Config`. A command's function takes
both as keyword arguments: `with_options` shows them in its signature and its help, and `read_options` checks them.
"""

import inspect
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from difflib import get_close_matches
from pathlib import Path
from textwrap import TextWrapper
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from ser.errors import ConfigError
from ser.metadata.targets import DIMENSIONS, MIXED, TARGETS, parse_target
from ser.registry import names, resolve
from ser.results.records.data_facts import ValidationBy
from ser.train.classical.classifier import is_classical
from ser.train.losses import resolved
from ser.train.option import converted, described, flag, is_option, option
from ser.workers.engine import BACKENDS, LOCAL, parse_shard, refuse_contradictions
from ser.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from ser.metadata.folds.fold import FoldOptions
    from ser.results.records.model import Opening
    from ser.results.result import Result

WORKSPACE = "the folder that holds metadata/, features/ and results/."
HEADS = "ser.train.heads"
F = TypeVar("F", bound=Callable[..., Any])
MODALITIES = ("audio", "text", "visual")
# Fields of `Config` that the commands set themselves, from options of `ser adapt`, `ser finetune` and `ser fewshot`.
OF_COMMANDS = ("head", "target", "adapt", "adapt_weight", "adapt_ramp", "freeze")


@dataclass(frozen=True)
class FitOptions:
    """Options of an experiment. The fields made by `option` are what a user may give."""

    workspace: Workspace = field(default_factory=Workspace)
    head: str = "mlp"
    training: Mapping[str, Any] = field(default_factory=dict)
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    command: str = "ser.fit"

    scheme: str = option("4", "Label scheme: 4, 6, 7, 8, native, ... or a YAML file.")
    target: str = option(
        "emotion",
        f"What heads learn: {', '.join(n for n in names(TARGETS) if n not in (DIMENSIONS, MIXED))}; {DIMENSIONS}, by name, "
        "such as arousal,valence; or classes and dimensions: emotion,arousal. See docs/targets.md.",
    )
    protocol: str | None = option(
        None,
        "The rule that makes the folds and their training, validation and test parts.",
        unset="the first of these that the table supports",
        choices=("official", "session", "speaker", "emobox", "seed1", "random", "file"),
    )
    folds: "int | FoldOptions | None" = option(None, "Number of folds, for session, speaker and random.", least=3)
    stratified: bool = option(False, "With --folds: spread groups so that all folds have about the same share of each class.")
    fold_file: Path | None = option(
        None, "CSV with the columns utterance_id, fold and part; without part, each utterance is tested in its fold."
    )
    validation: str = option("auto", "Groups that move as a whole from training to validation.", choices=get_args(ValidationBy))
    split_seed: int = option(0, "Seed of the protocol's shuffling; the same for all runs.", least=0)
    stores: tuple[str, ...] | None = option(
        None, "Stores to use, by encoder or store name.", unset="the only one of each modality", flag="-"
    )
    audio: tuple[str, ...] | None = option(None, "Audio stores to use, by encoder or store name.")
    text: tuple[str, ...] | None = option(None, "Text stores to use, by encoder or store name.")
    visual: tuple[str, ...] | None = option(None, "Imported visual stores to use, by name.")
    modalities: tuple[str, ...] | None = option(None, "Use only these.", unset="all that have features", choices=MODALITIES)
    views: tuple[str, ...] | None = option(
        None,
        "Augmented views of the audio to train on: all, tta, or names. One is drawn for each utterance, run and epoch. "
        "Validation and test always use the original.",
        unset="only the original",
    )
    layer: int | None = option(
        None,
        "Number of the layer to use from stores with several (ser extract --layers all); 0 is the input of the first block.",
        unset="all, summed with learned weights",
        least=0,
    )
    normalize: str = option(
        "train",
        "Utterances whose statistics standardise the features; corpus and speaker use unlabelled test data (stamped).",
        choices=("none", "train", "corpus", "speaker"),
    )
    limit: float = option(
        3.0, "Clip standardised features to this many standard deviations; 0: no limit.", least=0, flag="feature-limit"
    )
    runs: int = option(
        5, "Number of seeds. The numbers of run k do not depend on how many runs there are.", least=1, below=100_000
    )
    seed: int = option(0, "Seed of the experiment.")
    refit: str = option(
        "auto",
        "Train again on training and validation data for the number of epochs that validation picked; auto: only where "
        "validation was taken from the protocol's training part. Validation scores are those before refitting.",
        choices=("auto", "always", "never"),
    )
    save: bool = option(False, "Also save each run's head, for ser predict and ser evaluate.")
    output: Path | None = option(None, "Summary file, ending in .json.", unset="named after the experiment, in results/")
    log: tuple[str, ...] | None = option(None, "Trackers that curves and scores are written to, in results/.")
    jobs: int | None = option(None, "Worker processes, or threads.", unset="one per core", least=1)
    backend: str = option(
        LOCAL,
        "Workers that train: loky, processes on this machine; threads of this process; dask or ray, workers of a cluster. "
        "See docs/cluster.md.",
        choices=BACKENDS,
    )
    address: str | None = option(None, "Address of the cluster.", unset="that of DASK_SCHEDULER_ADDRESS or RAY_ADDRESS")
    memory: float | None = option(
        None,
        "GiB that features, as stored and standardised, may occupy in each process. Larger features stay on disk and are read "
        "batch by batch: the same numbers, slower.",
        unset="as much as they need",
        least=0,
    )
    shard: str | None = option(
        None,
        "Train part I (0 to N - 1) of N of the runs, then end; other processes train the other parts. The same command "
        "without --shard then finishes the experiment. In Python, ser.errors.PartDone is raised.",
        unset="all",
        metavar="I/N",
    )
    stack: int | None = option(None, "Runs trained together.", unset="chosen by size", least=1)
    device: str = option(
        "auto",
        "auto, cpu, cuda, cuda:1, cuda:all, mps. auto uses a GPU if there is one; cuda:all uses all GPUs of this machine, "
        "with one process each.",
        form=(r"auto|cpu|cuda(:\d+|:all)?|mps", "auto, cpu, cuda, cuda:N, cuda:all or mps"),
    )
    quiet: bool = option(True, "Print no progress.", flag="-")

    @property
    def fold_options(self) -> "FoldOptions":
        """The choices within the protocol."""
        from ser.metadata.folds.fold import FoldOptions

        if isinstance(self.folds, FoldOptions):
            return self.folds
        return FoldOptions(self.folds, self.split_seed, self.fold_file, self.validation, self.stratified)

    def record_of(self, name: str) -> Path:
        """The file of an experiment's or a study's record."""
        return self.output or self.workspace.results / f"{name}.json"

    def result(self, record: "Opening") -> "Result":
        """Write a record into the trackers that the user named, and return it with its place."""
        from ser.results.result import Result

        path = self.record_of(record.experiment)
        if self.log:
            from ser.results.loggers import log

            log(record, path, self.log)
        return Result.of(record, path)

    @property
    def named_stores(self) -> tuple[str, ...] | None:
        """The named stores of all modalities; None where none is named, and the workspace decides."""
        return tuple(n for names in (self.stores, self.audio, self.text, self.visual) for n in names or ()) or None


def with_stores(command: str, stores: Iterable[tuple[str, str]]) -> str:
    """Add the stores in use to a command line, so that it uses the same again when others have been extracted.

    Args:
        command: `ser fit ...`; a call from Python stays as it is.
        stores: the name and the modality of each.

    >>> with_stores("ser fit --audio=egemaps --runs 5", [("egemaps", "audio"), ("bert.cls", "text")])
    'ser fit --runs 5 --audio egemaps --text bert.cls'
    """
    first, *words = shlex.split(command)
    if first != "ser":
        return command
    flags = [f"--{modality}" for modality in MODALITIES]
    kept = [
        word
        for before, word in zip(["", *words], words, strict=False)
        if before not in flags and word.partition("=")[0] not in flags
    ]
    for modality in MODALITIES:
        names = [name for name, other in stores if other == modality]
        kept += [f"--{modality}", ",".join(names)] if names else []
    return shlex.join([first, *kept])


def option_fields() -> dict[str, Any]:
    """The fields of `FitOptions` that a user may give, by name."""
    return {f.name: f for f in fields(FitOptions) if is_option(f)}


def with_options(*without: str) -> Callable[[F], F]:
    """Show the options of experiments in a function's signature and help, in place of its `**options`.

    Args:
        without: options that mean nothing to the function.
    """

    def shown(function: F) -> F:
        from ser.train.loop.config import Config

        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        taken = {*without, *(p.name for p in own)}
        general = {name: f for name, f in option_fields().items() if name not in taken}
        training = [f for f in fields(Config) if f.name not in taken.union(OF_COMMANDS)]
        more = [(name, f.default, f.type) for name, f in general.items()] + [(f.name, None, f.type) for f in training]
        own += [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=d, annotation=t) for n, d, t in more]
        function.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]
        function.without = without  # type: ignore[attr-defined]
        wrapper = TextWrapper(118, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False)
        texts, learning = (
            "\n".join(wrapper.fill(f"{f.name}: {described(f)}") for f in group if is_option(f))
            for group in (general.values(), training)
        )
        function.__doc__ = (
            f"{inspect.cleandoc(function.__doc__ or '')}\n\nOptions:\n    workspace: {WORKSPACE}\n{texts}\n\n"
            f"Options of training; None is the head's own:\n    head_options: the head's own options, by name.\n{learning}\n"
        )
        return function

    return shown


def read_options(
    function: Callable[..., Any],
    workspace: Workspace | str | os.PathLike[str],
    head: str,
    given: Mapping[str, Any],
    learns: str | None = None,
) -> FitOptions:
    """Check the options that a command's function was given, and take each in its natural type.

    A list of names may be one name, or several with commas; a path may be a text, a scheme a number. None counts as not given.

    Args:
        function: a function under `with_options`.
        learns: `target`, of a function where that is a corpus; None leaves it to the options.

    Raises:
        ConfigError: an unknown option, with the nearest of those known; or a value of another kind or out of range.
    """
    from ser.train.loop.config import Config

    name, known, without = f"ser.{function.__name__}", option_fields(), getattr(function, "without", ())
    training_names = {f.name for f in fields(Config)}.difference(OF_COMMANDS)
    chosen: dict[str, Any] = {"command": name}
    training: dict[str, Any] = {}
    for key, value in given.items():
        if key in without:
            raise ConfigError(f"{name} has no option {key!r}", action="Leave it out.")
        if key == "command":
            chosen[key] = str(value)
        elif key in known:
            if value is not None:
                chosen[key] = converted(known[key], value)
        elif key in training_names:
            training[key] = value
        else:
            own = [p for p in inspect.signature(function).parameters if p not in without]
            raise _unknown(name, key, own, {flag(known[n]).replace("-", "_"): n for n in own if n in known})
    head = head_named(str(head))
    if learns is not None:
        chosen["target"] = str(learns)
    if "target" in chosen:
        chosen["target"] = resolve(TARGETS, chosen["target"])
    if isinstance(training.get("loss"), str):
        training["loss"] = resolved(training["loss"])
    options = FitOptions(open_workspace(workspace), head, training, **chosen)
    _refuse_contradictions(options)
    if options.log:
        from ser.results.loggers import refuse_absent

        refuse_absent(options.log)
    return options


def head_named(text: str) -> str:
    """The name of a head that a user asked for: a plugin, `sklearn:CLASS`, or a part from outside of ser."""
    return text if is_classical(text) else resolve(HEADS, text)


def _unknown(function: str, key: str, known: list[str], flags: dict[str, str]) -> ConfigError:
    near = [flags[key]] if key in flags else get_close_matches(key, known, n=3)
    return ConfigError(
        f"{function} has no option {key!r}",
        expected=None if near else f"one of {', '.join(known)}",
        action=f"Did you mean {' or '.join(map(repr, near))}?" if near else None,
    )


def _refuse_contradictions(options: FitOptions) -> None:
    """Refuse a named store of a modality that is left out, folds or workers that are described twice, and what would be
    ignored beside another option."""
    refuse_contradictions(options.jobs, options.backend, options.address, options.device)
    if options.shard is not None:
        try:
            parse_shard(options.shard)
        except ValueError:
            raise ConfigError(f"--shard {options.shard}", expected="I/N, with I from 0 to N - 1", option="shard") from None
    patience = options.training.get("patience")
    if patience and options.training.get("selection") == "last":
        raise ConfigError(
            f"--patience {patience} waits for a better validation score, and --selection last looks at none",
            action="Leave --patience or --selection out.",
            option="patience",
        )
    for modality in MODALITIES:
        named: tuple[str, ...] | None = getattr(options, modality)
        if named and options.modalities and modality not in options.modalities:
            raise ConfigError(
                f"--{modality} {','.join(named)} contradicts --modalities {','.join(options.modalities)}",
                action=f"Leave --{modality} out, or add {modality} to --modalities.",
            )
    if options.folds is not None and not isinstance(options.folds, int):
        alone = ("stratified", "fold_file", "validation", "split_seed")
        twice = [n for n in alone if getattr(options, n) != option_fields()[n].default]
        if twice:
            raise ConfigError(f"folds is a FoldOptions, and {twice[0]} is given too", action="Give one of them.")
    if options.normalize == "none" and options.limit not in (0, option_fields()["limit"].default):
        raise ConfigError(
            f"--feature-limit {options.limit:g} is of standardised features, and --normalize none leaves them as they are",
            action="Leave --feature-limit out.",
            option="limit",
        )


def refuse_what_is_of_classes(options: FitOptions, ratings: Sequence[str]) -> None:
    """Refuse options of classes where heads learn dimensions alone.

    Args:
        ratings: the columns of ratings that the table has. Where the target is none of them, that is the fault; of a table
            without any, what reads it says so.

    Raises:
        ConfigError: there is one, or the target is not one of the table.
    """
    if parse_target(options.target, ratings).kind != DIMENSIONS or not ratings:
        return
    unnamed = ("native", option_fields()["scheme"].default)  # a default that is given says nothing
    for name, asked in (("scheme", options.scheme not in unnamed), ("stratified", options.stratified)):
        if asked:
            raise ConfigError(
                f"--{name} is of classes, and --target {options.target} has none",
                action=f"Leave --{name} out." if name != "scheme" else "Leave --scheme out, or take --scheme native.",
                option=name,
            )
