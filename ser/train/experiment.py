"""What every experiment does around training: choose the data, check the protocol, describe it for the record."""

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.features.normalise import STAMPS
from ser.features.tensors import Tensors
from ser.features.views import split_name
from ser.metadata import audit, ledger, splits, texts
from ser.results.metrics import scores
from ser.results.record import config_hash, read_any
from ser.train.recipe import Recipe
from ser.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Setup:
    """A dataset under a protocol, and what the record says of it.

    Attributes:
        data: tensors before normalisation.
        protocol: its name.
        folds: row positions.
        facts: the record's `data`.
        stamps: sentences that the result must carry.
    """

    data: Tensors
    protocol: str
    folds: list[splits.Fold]
    facts: dict[str, Any]
    stamps: list[str]


def prepare(data: Tensors, protocol: str | None, options: splits.Options, normalize: str, scheme: str) -> Setup:
    """Folds of the data under a protocol (None: the one that fits the table), audited."""
    protocol = protocol or splits.default_protocol(data.table, options)
    folds = splits.make_folds(protocol, data.table, data.frame, data.labels, options)
    report = audit.verdict(data.dataset, protocol, data.frame, folds, data.table.copies)
    stamps = audit.stamps(report, data.table.facts, _spoken(data))
    stamps += texts.stamps(data.text_sources, data.table.frame, {n: s["identity"] for n, s in data.stores.items()})
    stamps += ledger.stamps(data.table.facts, data.stores)
    stamps += [f"{name} is an augmented view, in training and test" for name in data.stores if split_name(name)[1]]
    stamps += [data.choices.stamp] if data.choices is not None else []
    stamps += [STAMPS[normalize]] if normalize in STAMPS else []
    stamps += _empty_classes(data, folds)
    missing = sum(n for reason, n in data.dropped.items() if reason.startswith("no ") and reason.endswith(" features"))
    stamps += [f"left out: {missing} utterances have no features"] if missing else []
    used = np.unique(np.concatenate([np.concatenate([f.train, f.validation, f.test]) for f in folds]))
    facts = {
        **describe(data, scheme),
        "protocol": protocol,
        "folds_sha256": _folds_digest(data, folds),
        "folds": [
            {
                "name": f.name,
                "train": len(f.train),
                "validation": len(f.validation),
                "test": len(f.test),
                "validation_by": f.validation_by,
            }
            for f in folds
        ],
        "fold_options": {**vars(options), "file": options.file.name if options.file else None},
        "normalize": normalize,
        "audit": report,
    }
    if len(used) < len(data.frame):
        facts["dropped"] = {**data.dropped, f"in no part of protocol {protocol}": len(data.frame) - len(used)}
    return Setup(data, protocol, folds, facts, stamps)


def _spoken(data: Tensors) -> set[str]:
    """Modalities of what people said: sentences that were made up say nothing of the corpus's."""
    sources = data.text_sources.values()
    made_up = bool(sources) and all(texts.is_simulated(source, data.table.frame) for source in sources)
    return data.modalities - ({"text"} if made_up else set())


def _folds_digest(data: Tensors, folds: list[splits.Fold]) -> str:
    ids = data.frame["utterance_id"].to_numpy()
    parts = ("train", "validation", "test")
    return digest(f"{f.name} {p} {i}" for f in folds for p in parts for i in ids[getattr(f, p)])


def describe(data: Tensors, scheme: str) -> dict[str, Any]:
    """The record's account of a dataset: table, stores, scheme and what was left out."""
    counts = np.bincount(data.labels, minlength=len(data.classes))
    return {
        "dataset": data.dataset,
        "corpus": data.table.facts.get("corpus"),
        "licence": data.table.facts.get("licence"),
        "table": {"path": f"metadata/{data.dataset}.csv", "sha256": data.table.sha256},
        "stores": data.stores,
        "rows_sha256": digest(
            f"{i}\t{data.classes[k]}\t{s}\t{g}"
            for i, k, s, g in zip(
                data.frame["utterance_id"], data.labels, data.frame["speaker"], data.frame["gender"], strict=True
            )
        ),
        "scheme": scheme,
        "utterances": len(data.frame),
        "classes": {c: int(n) for c, n in zip(data.classes, counts, strict=True)},
        "dropped": data.dropped,
        **({} if data.choices is None else {"views": {"names": data.choices.names, "stores": data.choices.facts}}),
    }


def _empty_classes(data: Tensors, folds: list[splits.Fold]) -> list[str]:
    found = []
    for part in ("train", "test"):
        lacking = {
            c
            for f in folds
            for c in set(range(len(data.classes))) - set(np.unique(data.labels[getattr(f, part)]).tolist())
        }
        if lacking:
            names = ", ".join(data.classes[c] for c in sorted(lacking))
            found.append(f"classes missing from the {part} part of some fold: {names}")
    return found


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
        "code": {"train": _code(), "torch": torch.__version__},
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


def _code() -> str:
    """SHA-256 of the code that decides a head's numbers: a run is not resumed under other code than it began with."""
    here = Path(__file__).parent
    features = [here.parent / "features" / f"{name}.py" for name in ("choices", "normalise")]
    files = [*sorted(here.rglob("*.py")), *features]
    return digest(p.read_text(encoding="utf-8") for p in files)[:12]


def tested_only(stamps: Sequence[str]) -> list[str]:
    """The stamps that hold where a dataset is only tested on: what its training part has or shares does not matter then."""
    apart = ("speakers shared", "speakers unknown", "classes missing from the train part")
    return [s for s in stamps if not s.startswith(apart)]


def digest(lines: Iterable[str]) -> str:
    """SHA-256 of some texts, in order."""
    return hashlib.sha256("\0".join(lines).encode()).hexdigest()


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
