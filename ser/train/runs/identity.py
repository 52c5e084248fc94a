"""What every experiment does around training: its identity and place, its predictions and their scores."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.features.tensors import Tensors
from ser.results.metrics.classification import scores
from ser.results.records.record import config_hash, read_any
from ser.train.runs.recipe import Recipe
from ser.workspace import Workspace

# Raise this number, by one, with every change after which the same configuration on the same data gives other numbers: a run
# that was begun under another number is not resumed. `tests/train/test_semantics.py` fails where that was forgotten.
SEMANTICS = 1


def identity(config: Recipe, seed: int, *facts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The record's `config`: all that decides an experiment's numbers but how many runs there are.

    Its hash names the experiment, so `--runs 10` goes on from `--runs 5`.

    Args:
        config: how heads are trained.
        seed: of the experiment.
        facts: of each dataset, see `prepare` and `describe`.
    """
    keys = ("dataset", "scheme", "classes", "protocol", "normalize", "rows_sha256", "folds_sha256")
    return {
        **config.as_dict(),
        **more,
        "seed": seed,
        "semantics": SEMANTICS,
        "inputs": [
            {
                **{k: f[k] for k in keys if k in f},
                "stores": {name: store["features_sha256"] for name, store in f["stores"].items()},
                **_views(f),
            }
            for f in facts
        ],
    }


def _views(facts: dict[str, Any]) -> dict[str, Any]:
    """The views that a dataset's training rows are drawn among, by their hashes; nothing where there are none."""
    if "views" not in facts:
        return {}
    return {"views": {name: store["features_sha256"] for name, store in facts["views"]["stores"].items()}}


def place(
    workspace: Workspace, output: Path | str | None, words: Sequence[str], what: dict[str, Any]
) -> tuple[str, Path]:
    """The experiment's name and the file of its summary; run records lie in the folder of the same name.

    Raises:
        ConfigError: `output` is no JSON file.
    """
    if output is not None:
        output = Path(output)
        if output.suffix != ".json":
            raise ConfigError(f"--output {output}", expected="a file that ends in .json")
        if output.exists() and read_any(output)["config_hash"] != config_hash(what):
            raise ConfigError(f"{output} is the record of another experiment", action="Choose another --output.")
        return output.stem, output
    name = "-".join([*words, config_hash(what)[:8]]).replace(":", "-")
    return name, workspace.results / f"{name}.json"


def beside(here: Path, there: Path) -> str:
    """Where a file lies as seen from another's folder, with `/` between the steps."""
    return Path(os.path.relpath(there, here.parent)).as_posix()


def prediction_rows(
    data: Tensors, rows: NDArray[np.int64], probabilities: NDArray[np.float64], **columns: Any
) -> pd.DataFrame:
    """Predictions of some rows as the record keeps them: one row an utterance, `p_<class>` columns last.

    Where the data are several corpora joined, a column `dataset` says which a row is of.
    """
    classes = np.array(data.classes, dtype=object)
    frame = data.frame.iloc[rows]
    table = pd.DataFrame(
        {
            "utterance_id": frame["utterance_id"].to_numpy(),
            **columns,
            "true": classes[data.labels[rows]],
            "predicted": classes[probabilities.argmax(-1)],
            "speaker": frame["speaker"].to_numpy(),
            "gender": frame["gender"].to_numpy(),
            **({"dataset": frame["dataset"].to_numpy()} if "dataset" in frame else {}),
        }
    )
    shares = pd.DataFrame(probabilities, columns=[f"p_{c}" for c in data.classes])
    joined: pd.DataFrame = pd.concat([table, shares], axis=1)
    return joined


def scores_by_split(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, dict[str, float]]:
    """The four metrics of a run's validation and test predictions."""
    parts = {s: predictions[predictions["split"] == s] for s in ("validation", "test")}
    return {s: scores(p["true"].to_numpy(), p["predicted"].to_numpy(), classes) for s, p in parts.items() if len(p)}


def collapse_note(predictions: pd.DataFrame, classes: Sequence[str]) -> list[str]:
    """A remark where every test utterance got the same class."""
    predicted = predictions.loc[predictions["split"] == "test", "predicted"].unique()
    if len(predicted) == 1 and len(classes) > 1:
        return [f"collapsed: every test utterance is predicted {predicted[0]}"]
    return []
