"""The record of an evaluation: what it is of, where it lies, and the tables beside it."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ser.audit.split_data import tested_only
from ser.errors import ConfigError
from ser.evaluation.asked import Asked
from ser.evaluation.predicting import head_of
from ser.evaluation.subject import Subject
from ser.features.normalise import STAMPS
from ser.metadata import ledger
from ser.metadata.table import Table
from ser.results.metrics import evaluation
from ser.results.metrics.calibration import BINS, is_bound
from ser.results.metrics.classification import confusion, per_class
from ser.results.records.environment import environment
from ser.results.records.names import EVALUATION_SCHEMA
from ser.train.checkpoint import head_facts
from ser.workspace import Workspace, writing

LONG = 80


def opening(asked: Asked, command: str, table: Table | None, device: str) -> dict[str, Any]:
    """What was evaluated, on which data, and what a reader must know."""
    subject, test = asked.subject, asked.test
    one = test.drop_duplicates("utterance_id")
    stores = {} if asked.source is None else asked.source.data.stores
    stamps = list(subject.stamps)
    if not asked.own:
        assert asked.source is not None
        stamps = tested_only(stamps) + ledger.stamps(asked.source.data.table.facts, stores)
        how = str(head_of(next(iter(subject.heads.values()))).about["normalize"])
        stamps += [STAMPS[how]] if how in STAMPS and not _statistics(subject) else []
        if asked.left_out:
            stamps.append(f"left out: {asked.left_out} utterances whose audio is in a corpus that was trained on")
    dropped = {} if asked.own or asked.source is None else asked.source.data.dropped
    return {
        "schema": EVALUATION_SCHEMA,
        "experiment": subject.name,
        "command": command,
        "model": {
            "kind": "head" if subject.single else "experiment",
            "record": None if subject.summary is None else subject.path.name,
            "config_hash": None if subject.summary is None else subject.summary["config_hash"],
            "runs": int(test["run"].nunique()),
            "folds": int(test["fold"].nunique()),
            "heads": len(subject.heads),
            "amount": subject.amount or None,
        },
        "data": {
            "dataset": asked.dataset,
            "own": asked.own,
            "rows": "recorded test rows of each fold" if asked.own else "all, predicted by each saved head",
            "scheme": asked.scheme,
            "utterances": len(one),
            "classes": {c: int((one["true"] == c).sum()) for c in subject.classes},
            "dropped": dropped,
            "table": None if table is None else {"path": f"metadata/{asked.dataset}.csv", "sha256": table.sha256},
            "stores": {n: {k: s[k] for k in ("path", "features_sha256", "identity")} for n, s in stores.items()},
        },
        "unit": "run" if asked.own else "head",
        "bins": BINS,
        "stamps": list(dict.fromkeys(stamps)),
        "environment": environment(device),
    }


def _statistics(subject: Subject) -> bool:
    return bool(head_of(next(iter(subject.heads.values()))).statistics)


def counts(asked: Asked) -> dict[str, Any]:
    """Confusion counts over all runs and heads, and scores by class of these."""
    truth, guess = asked.test["true"].to_numpy(), asked.test["predicted"].to_numpy()
    classes = asked.subject.classes
    return {
        "confusion_matrix": {"labels": classes, "counts": confusion(truth, guess, classes).tolist()},
        "per_class": per_class(truth, guess, classes),
    }


def temperatures(asked: Asked, found: evaluation.Temperatures) -> dict[str, Any]:
    """Each temperature, what it was fitted on, and whether the head was then trained again."""
    validation = asked.held
    size = validation.groupby(["run", "fold"]).size()
    values = [
        {"run": run, "fold": fold, "n": int(size[run, fold]), "temperature": t} for (run, fold), t in found.items()
    ]
    numbers = list(found.values())
    again = any("trained again" in str(_selection(asked.subject, run, fold)) for run, fold in found)
    return {
        "fitted_on": f"validation predictions of the same run and fold, of {' and '.join(validated(asked))}",
        "corpora": validated(asked),
        "refitted": again,
        "mean": sum(numbers) / len(numbers),
        "min": min(numbers),
        "max": max(numbers),
        "at_bound": sum(map(is_bound, numbers)),
        "values": values,
    }


def validated(asked: Asked) -> list[str]:
    """The corpora that the validation predictions are of; none where there are none."""
    held = asked.held
    if not len(held):
        return []
    if "dataset" in held:
        return [str(name) for name in pd.unique(held["dataset"])]
    return [asked.subject.tested or asked.subject.corpora[0]]


def validation_notes(asked: Asked, calibrate: bool) -> list[str]:
    """A warning where what is fitted on validation is not fitted on the corpus that is tested."""
    corpora = validated(asked)
    if corpora in ([], [asked.dataset]):
        return []
    what = "the temperature and the thresholds of abstention come" if calibrate else "thresholds of abstention come"
    other = "together" if asked.dataset in corpora else f"not of {asked.dataset}, and may not fit it"
    return [f"{what} from validation predictions of {' and '.join(corpora)}, {other}"]


def head_notes(asked: Asked) -> list[str]:
    """What the heads say of themselves, where they are run."""
    return [] if asked.source is None else list(head_of(next(iter(asked.subject.heads.values()))).notes)


def _selection(subject: Subject, run: int, fold: str) -> object:
    return subject.record((run, fold)).get("selection")


def average_of(subject: Subject) -> str:
    """The average of weights that the heads were trained with, `none`, `swa` or `ema`."""
    if subject.heads:
        return str(head_facts(next(iter(subject.heads.values())))["config"].get("average", "none"))
    return str((subject.summary or {}).get("config", {}).get("average", "none"))


def place(
    subject: Subject,
    space: Workspace,
    output: Path | None,
    dataset: str | None,
    scheme: str | None,
    calibrate: bool,
    tta: bool,
    novelty: Sequence[str],
    explained: int,
) -> Path:
    """Beside the summary, named after what was asked, so that no evaluation takes another's place.

    Args:
        scheme: as it was asked for; that of the record has no place in the name.
        explained: examples of `--explain`, 0 without it.
    """
    if output is not None:
        if output.suffix != ".json":
            raise ConfigError(f"--output {output}", expected="a file that ends in .json")
        return output
    amount = subject.amount.replace("%", "pct").replace(" ", "")
    words = [dataset or subject.tested or "", _labels(scheme, subject), amount, "calibrated" * calibrate, "tta" * tta]
    words.append("novelty-" * bool(novelty) + "+".join(novelty))
    words.append("" if not explained else "explained" if explained == 1 else f"explained-{explained}")
    ending = "-".join(safe(word) for word in words if word)
    if len(ending) > LONG:  # a file's name has to end somewhere
        ending = f"{ending[:LONG]}-{hashlib.sha256(ending.encode()).hexdigest()[:8]}"
    folder = space.results if subject.summary is None else subject.path.parent
    return folder / f"{subject.name}.evaluation-{ending}.json"


def _labels(scheme: str | None, subject: Subject) -> str:
    """Another label scheme than the record's, as part of a name; of a file its name and what is in it."""
    if scheme is None or scheme == subject.scheme:
        return ""
    file = Path(scheme)
    if not file.is_file():
        return f"scheme-{scheme}"
    return f"scheme-{file.stem}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}"


def safe(word: str) -> str:
    """A word as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9+_.-]+", "_", word)


def write_tables(path: Path, files: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """CSV files beside the record, from which its numbers were made."""
    found = {}
    for name, table in files.items():
        file = path.with_name(f"{path.name.removesuffix('.json')}.{name}.csv")
        columns = {c: "float32" for c in table.columns if c.startswith("p_")}
        content = table.astype(columns).to_csv(index=False, lineterminator="\n", float_format="%.7g").encode()
        with writing(file) as temporary:
            temporary.write_bytes(content)
        found[name] = {"path": file.name, "rows": len(table), "sha256": hashlib.sha256(content).hexdigest()}
    return found
