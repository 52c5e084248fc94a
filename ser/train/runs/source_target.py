"""Two corpora of a transfer: their shared classes, and the folds of source-only, adapted, target-only and tuned training.

All are folds over the rows of both corpora joined, with the target's test parts under its own protocol. Everything that begins
with the source shares one validation part of it and one stream, `source`.
"""

from dataclasses import dataclass, replace

import numpy as np

from ser import registry
from ser.audit.split_data import SplitData, describe_data, label_space, split_data
from ser.errors import ConfigError
from ser.features.normalise import BETWEEN_CORPORA
from ser.features.shared_audio import stamps as shared_audio
from ser.features.store_selection import choose_dataset
from ser.features.tensors import Tensors
from ser.metadata import languages
from ser.metadata.folds.fold import Fold, FoldOptions
from ser.metadata.folds.protocols import train_and_validation
from ser.metadata.schema import RATINGS
from ser.metadata.table import load_table
from ser.metadata.targets import TARGETS
from ser.train.runs.joined_corpora import join, load_shared, scheme_of, target_of
from ser.train.runs.options import FitOptions
from ser.workspace import Workspace

STREAM = "source"


def choose_pair(workspace: Workspace, source: str | None, target: str | None) -> tuple[str | None, str]:
    """Choose source and target where the user named none or one of them: IEMOCAP and CREMA-D where both are cached."""
    if target is None and source is None and workspace.stores("iemocap") and workspace.stores("cremad"):
        return "iemocap", "cremad"
    if target is None and source is not None:
        raise ConfigError(f"--source {source} without a target", expected="--target NAME")
    if target is not None and target not in workspace.datasets():
        known = load_table(source, workspace).ratings if source in workspace.datasets() else ()
        if {*registry.names(TARGETS), *RATINGS, *known} & {*target.split(",")}:
            raise ConfigError(
                f"there is no dataset {target}",
                expected=f"one of {', '.join(workspace.datasets())}",
                action=f"What heads learn is named by --learns {target}.",
            )
    return source, target or choose_dataset(workspace, "--target")


def need_pair(workspace: Workspace, source: str | None, target: str | None) -> tuple[str, str]:
    """Choose source and target as `choose_pair`, for commands that need a source; a ConfigError where none is named."""
    if source is None and not (target is None and workspace.stores("iemocap") and workspace.stores("cremad")):
        raise ConfigError(
            "no source is named", expected="--source NAME --target NAME", found=", ".join(workspace.with_features()) or None
        )
    source, target = choose_pair(workspace, source, target)
    assert source is not None
    return source, target


@dataclass(frozen=True, eq=False)
class CorpusPair:
    """Source and target under the target's protocol.

    Attributes:
        source, target: tensors over the shared classes.
        setup: of both joined; `folds` are those of training on the target alone.
        first: training on the source: its training and validation rows, no test part.
    """

    source: Tensors
    target: Tensors
    setup: SplitData
    first: Fold

    @property
    def target_only(self) -> list[Fold]:
        """Training on the target's labels: an upper bound for adaptation, and a baseline for fine-tuning."""
        return self.setup.folds

    @property
    def source_only(self) -> list[Fold]:
        """The source's head on each test part of the target; trained once per seed."""
        return [replace(self.first, name=f.name, test=f.test) for f in self.setup.folds]

    @property
    def adapted(self) -> list[Fold]:
        """Labels of the source, and features of the target without its labels and without its test part.

        Initial weights and the order of the source's rows are those of source only.
        """
        return [
            replace(
                self.first,
                name=f.name,
                test=f.test,
                unlabelled=np.sort(np.concatenate([f.train, f.validation])),
                oracle=f.validation,
            )
            for f in self.setup.folds
        ]

    @property
    def tuned(self) -> list[Fold]:
        """The source first, then the target's training part."""
        return [replace(f, before=self.first) for f in self.setup.folds]


def prepare_pair(source: str, target: str, options: FitOptions) -> CorpusPair:
    """Load both over their shared classes, and lay out the folds.

    Raises:
        ConfigError: they share fewer than two classes.
        StoreError: their features are not of the same encoders.
    """
    here, there = load_shared([source, target], options)
    scheme = scheme_of(there, options)
    setup = split_data(there, options.protocol, options.fold_options, options.normalize, scheme)
    first = source_fold(here, options)
    datasets = [{**describe_data(here, scheme), "normalize": options.normalize}, setup.facts]
    facts = {
        "source": source,
        "target": target,
        **target_of(there),
        "scheme": scheme,
        "protocol": setup.protocol,
        "normalize": options.normalize,
        "normalization": BETWEEN_CORPORA[options.normalize],
        "languages": {"source": languages.spoken(here.frame), "target": languages.spoken(there.frame)},
        "label_space": label_space((here, there)),
        "datasets": {d["dataset"]: d for d in datasets},
    }
    synthetic = here.table.facts.get("synthetic")
    stamps = ["synthetic source: its audio is synthesised, no recording of people"] if synthetic else []
    stamps += [f"{source}: {s}" for s in here.stamps] + cross_language(here, there)
    stamps += shared_audio([here, there])
    folds = [moved(f, len(here.frame)) for f in setup.folds]
    joined = SplitData(join([here, there]), setup.protocol, folds, facts, setup.stamps + stamps)
    return CorpusPair(here, there, joined, first)


def source_fold(source: Tensors, options: FitOptions) -> Fold:
    """Training on a source: all of its rows but a validation part; no test part."""
    train, validation = train_and_validation(source.frame, source.labels, FoldOptions(seed=options.fold_options.seed))
    if source.untested is not None:
        validation = validation[~source.untested[validation]]
    return Fold(STREAM, train, validation, train[:0], stream=STREAM)


def cross_language(source: Tensors, target: Tensors) -> list[str]:
    """The stamp of two corpora that share no language; none where they do, or where one's is not known."""
    return languages.stamps(languages.spoken(source.frame), languages.spoken(target.frame))


def moved(fold: Fold, by: int) -> Fold:
    """Move the rows of a fold by their new place in a joint frame."""
    return replace(fold, train=fold.train + by, validation=fold.validation + by, test=fold.test + by)
