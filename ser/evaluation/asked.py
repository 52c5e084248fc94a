"""Which predictions an evaluation is of: the recorded test rows of the heads' own corpus, or new ones of another."""

from dataclasses import dataclass

import pandas as pd

from ser.errors import ConfigError, SerError
from ser.evaluation.outputs import Source
from ser.evaluation.predicting import load_for, predict_all, recorded, unseen, validation_of
from ser.evaluation.subject import Subject
from ser.metadata.table import Table, load_table
from ser.train.checkpoint import head_facts
from ser.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Asked:
    """What is evaluated.

    Attributes:
        own: whether it is a corpus of the heads' own, of which only the recorded test rows are used.
        test, validation: predictions; validation of the same runs and folds, None where there is no record.
        source: the corpus's features; None where nothing asks for them.
        left_out: utterances whose audio the heads were trained on.
    """

    subject: Subject
    dataset: str
    scheme: str
    own: bool
    test: pd.DataFrame
    validation: pd.DataFrame | None
    source: Source | None
    left_out: int = 0

    @property
    def held(self) -> pd.DataFrame:
        """The validation predictions; no rows where there are none."""
        return pd.DataFrame() if self.validation is None else self.validation


def ask(
    subject: Subject, dataset: str | None, scheme: str | None, space: Workspace, device: str, features: bool
) -> Asked:
    """Which predictions are evaluated: the recorded ones of the heads' own corpus, or new ones of another.

    Args:
        features: whether something asks for the heads and the corpus's features.

    Raises:
        ConfigError: no corpus is named where there are several, heads are missing, or there are no test rows.
    """
    corpora = subject.corpora
    dataset = dataset or subject.tested
    if dataset is None:
        raise ConfigError(f"{subject.name} is of several corpora", expected=f"--dataset {' or '.join(corpora)}")
    if dataset in corpora:
        return _own(subject, dataset, scheme, space, device, features)
    subject.need_heads(f"{dataset}, a corpus that the heads have not seen,")
    rule = scheme or subject.scheme
    if rule is None:
        raise ConfigError(
            f"{subject.path} lies without its record, which would say by which scheme labels become classes",
            expected=f"--scheme, with the classes {', '.join(subject.classes)}",
        )
    data, left_out = unseen(load_for(subject, dataset, space, rule), subject, space)
    source = Source(data, device)
    validation = None if subject.summary is None else validation_of(subject)
    return Asked(subject, dataset, rule, False, predict_all(subject, source), validation, source, left_out)


def _own(subject: Subject, dataset: str, scheme: str | None, space: Workspace, device: str, features: bool) -> Asked:
    test, validation = recorded(subject, dataset)
    rule = subject.scheme or "native"
    if scheme is not None and scheme != rule:
        raise ConfigError(
            f"--scheme {scheme}: {subject.name} was tested on {dataset} under {rule}", action="Leave --scheme out."
        )
    # Snapshots are told apart by their heads: these are run again where they are there and some have several.
    features = features or _has_snapshots(subject)
    if features:
        subject.need_heads("what is asked")
    source = Source(load_for(subject, dataset, space, rule), device) if features else None
    return Asked(subject, dataset, rule, True, test, validation if len(validation) else None, source)


def _has_snapshots(subject: Subject) -> bool:
    if not subject.heads or subject.lacking:
        return False
    return int(head_facts(next(iter(subject.heads.values())))["config"].get("snapshots", 1)) > 1


def table_of(asked: Asked, space: Workspace) -> tuple[Table | None, list[str]]:
    """The corpus's table, for what it says beside the predictions."""
    if asked.source is not None:
        return asked.source.data.table, []
    try:
        return load_table(asked.dataset, space), []
    except SerError as error:
        return None, [f"no comparison with votes: {error.line()}"]
