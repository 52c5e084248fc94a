"""`transfer`: a source's head on a target corpus, without any target data (zero-shot); across languages too.

It is the variant `source only` that `adapt` and `finetune` measure their gains by, and has the same records.
"""

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ser.train.experiments.study import begin_variant, conclude_variant, source_only
from ser.train.runs.experiment import check_runs, open_workspace, split_options
from ser.train.runs.scheduler import train_all
from ser.train.runs.source_target import prepare_pair
from ser.workspace import Workspace


def transfer(
    source: str,
    target: str,
    workspace: Workspace | str | Path = ".",
    *,
    head: str = "mlp",
    command: str = "ser.transfer",
    **options: Any,
) -> dict[str, Any]:
    """Train a head on a source, test it on the target's test parts, and write the record.

    Args:
        source, target: datasets of the workspace with the same features.
        head: a neural head, or `sklearn:` and a classifier of scikit-learn.
        options: as for `ser.train.experiments.fit.fit`, without `refit`; `protocol` and `folds` are the target's, and
            decide which of its
            utterances are tested. `normalize`: `train` applies the source's statistics to the target; `corpus` and
            `speaker` use unlabelled target data, test data too, and are stamped.

    Returns:
        The summary, as written: `data.label_space` says what was left out, `data.languages` which languages there are, and
        `suspects` which classes are mostly predicted as each other.

    Raises:
        ConfigError: the corpora share fewer than two classes.
        StoreError: their features are not of the same encoder.
    """
    started = datetime.now(timezone.utc)
    space = open_workspace(workspace)
    general, training = split_options({**options, "command": command})
    check_runs(general.runs)
    pair = prepare_pair(source, target, space, general)
    begun = begin_variant(pair.setup, source_only(pair), space, head, training, general, output=general.output)
    (done,) = train_all([begun], general, begun.job.experiment)
    return conclude_variant(begun, done, command, started)
