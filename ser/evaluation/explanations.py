"""What the evaluated heads look at: `ser.explain` on the test rows of each."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from ser.evaluation.outputs import Source, positions
from ser.evaluation.predicting import per_head
from ser.evaluation.subject import Subject
from ser.explain.run import HeadFile, explain


def write(
    subject: Subject, test: pd.DataFrame, source: Source, record: Path, examples: int, say: Callable[[str], None]
) -> str:
    """Write the explanations of all heads.

    Args:
        record: of the evaluation; they go into a folder of its name.

    Returns:
        `explanations.json`, relative to the record's folder.
    """
    files = []
    for (run, fold), rows in per_head(subject, test):
        where = positions(source.data, list(rows["utterance_id"].unique()), source.data.dataset)
        files.append(HeadFile(subject.heads[run, fold], run, fold, np.sort(where[where >= 0])))
    folder = record.with_name(f"{record.name.removesuffix('.json')}.explanations")
    explain(files, source.data, folder, subject.name, standardise=source.blocks, examples=examples, say=say)
    return f"{folder.name}/explanations.json"
