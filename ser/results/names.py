"""Names that records are known by: the metrics, a configuration's hash, the files of a run. Light."""

import hashlib
import json
import re
from typing import Any

from ser.results.schema import plain

METRICS = ("UA", "WA", "WF1", "Macro_F1")
RUN_SCHEMA = "ser.run/1"
SUMMARY_SCHEMA = "ser.summary/1"
ABLATION_SCHEMA = "ser.ablation/1"
SEARCH_SCHEMA = "ser.search/1"


def config_hash(config: dict[str, Any]) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the configuration's JSON with sorted keys.

    >>> config_hash({"runs": 5, "head": "mlp"}) == config_hash({"head": "mlp", "runs": 5})
    True
    """
    text = json.dumps(plain(config), sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def run_name(run: int, fold: str, percentage: float | None = None) -> str:
    """File name, without its ending, of a run's record and predictions. Different folds have different names.

    >>> run_name(0, "3"), run_name(12, "Ses01", 10.0)
    ('run-000.fold-03', 'run-012.fold-Ses01.10pct')
    """
    if re.fullmatch("0|[1-9][0-9]*", fold):
        safe = f"{int(fold):02d}"
    else:
        safe = re.sub(r"[^A-Za-z0-9_-]", "_", fold)
        if safe != fold or safe.isdigit():  # "01" is not the fold "1"
            safe += "-" + hashlib.sha256(fold.encode("utf-8")).hexdigest()[:6]
    name = f"run-{run:03d}.fold-{safe}"
    return name if percentage is None else f"{name}.{percentage:g}pct"
