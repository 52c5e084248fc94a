"""Names in records and of their files: schemas, the hash of a configuration, amounts, the files of a run. Light."""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from ser.jsonfile import plain
from ser.results.records.model import RunResult, RunRow
from ser.results.records.model import amount_name as amount_name
from ser.results.records.numbers import METRICS as METRICS

SUMMARY_SCHEMA = "ser.summary/1"
EVALUATION_SCHEMA = "ser.evaluation/1"
OUTPUT_EVALUATION_SCHEMA = "ser.output_evaluation/1"
HEAD = ".safetensors"  # the ending of a saved head
ONNX = ".onnx"  # that of a model in ONNX
CONFIG = "config.json"  # of a folder with a model to hand on, see `ser.train.model_folder`
LONG = 180  # signs of a fold in the name of a file: file systems take 255 in all
AMOUNTS = ("percentage", "shots")  # fields of a few-shot run's record; one of them is the amount of target data


def config_hash(config: dict[str, Any]) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the configuration's JSON with sorted keys.

    >>> config_hash({"runs": 5, "head": "mlp"}) == config_hash({"head": "mlp", "runs": 5})
    True
    """
    text = json.dumps(plain(config), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def amount_of(record: Mapping[str, Any] | RunResult | RunRow) -> dict[str, Any]:
    """The amount of labelled target data of a run, as arguments of `amount_name`; {} where it is not a few-shot run."""
    return {key: record[key] for key in AMOUNTS if key in record and record[key] is not None}


def amount_value(name: str) -> tuple[bool, float]:
    """Split an amount's key into true for a share, and its number; sorted by this, shots come before shares.

    >>> sorted(["100%", "10 shots", "2%", "5 shots"], key=amount_value)
    ['5 shots', '10 shots', '2%', '100%']
    """
    return name.endswith("%"), float(name.rstrip("%").split()[0])


ALL_ROWS = "all"  # the fold of final heads, which were trained on all utterances
SHARED_FOLDS = ("source",)  # heads that were trained once for all folds are called after their stream


def head_file_name(run: int, fold: str) -> str:
    """The name of the file of a saved head.

    >>> head_file_name(0, "3")
    'run-000.fold-03.safetensors'
    """
    return f"{run_name(run, fold)}{HEAD}"


def run_name(run: int, fold: str, percentage: float | None = None, shots: int | None = None) -> str:
    """File name, without its ending, of a run's record and predictions. Different folds have different names.

    >>> run_name(0, "3"), run_name(12, "Ses01", 10.0), run_name(1, "2", shots=5)
    ('run-000.fold-03', 'run-012.fold-Ses01.10pct', 'run-001.fold-02.5shots')
    """
    if re.fullmatch("0|[1-9][0-9]*", fold):
        safe = f"{int(fold):02d}"
    else:
        safe = re.sub(r"[^A-Za-z0-9_-]", "_", fold)
        if safe != fold or safe.isdigit() or len(safe) > LONG:  # "01" is not the fold "1"
            safe = f"{safe[:LONG]}-{hashlib.sha256(fold.encode('utf-8')).hexdigest()[:6]}"
    name = f"run-{run:03d}.fold-{safe}"
    if shots is not None:
        return f"{name}.{shots}shots"
    return name if percentage is None else f"{name}.{percentage:g}pct"
