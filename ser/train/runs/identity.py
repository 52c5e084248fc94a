"""The identity of an experiment: the configuration whose hash names it, and the file of its summary."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ser.errors import ConfigError
from ser.metadata.targets import TARGETS
from ser.registry import facts_of_parts
from ser.results.records.kinds import read_record
from ser.results.records.model import Opening
from ser.results.records.names import config_hash
from ser.train.losses import split
from ser.workspace import Workspace

METHODS = "ser.train.fewshot.methods"
# Raise this number, by one, with every change after which the same configuration on the same data gives other numbers: a run
# that was begun under another number is not resumed. `tests/train/test_semantics.py` fails where that was forgotten.
SEMANTICS = 1


class Described(Protocol):
    """A recipe, or whatever else decides predictions."""

    def as_dict(self) -> dict[str, Any]: ...


def identity(recipe: Described, seed: int, *facts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The record's `config`: all that decides an experiment's numbers, except the number of runs.

    Its hash names the experiment, so `--runs 10` goes on from `--runs 5`.

    Args:
        recipe: how heads are trained.
        seed: of the experiment.
        facts: of each dataset, see `ser.audit.split_data`.
        more: further keys of the configuration.
    """
    asked = {**recipe.as_dict(), **more}
    keys = ("dataset", "scheme", "classes", "protocol", "normalize", "rows_sha256", "folds_sha256", "learns", "learns_sha256")
    return {
        **asked,
        **parts_from_outside(asked),
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


def parts_from_outside(config: Mapping[str, Any]) -> dict[str, Any]:
    """The module, the version and the hash of each part from outside that a configuration names, under one key; else nothing.

    With another source the same names are another experiment.
    """
    losses = [split(word)[0] for word in str(config.get("loss", "")).split(",")]
    folders = {"head": "ser.train.heads", "adapt": "ser.train.adapt", "method": METHODS, "target": TARGETS}
    named = [(folder, str(config[key])) for key, folder in folders.items() if key in config]
    found = [facts for folder, name in named for facts in facts_of_parts(folder, name)]
    found += facts_of_parts("ser.train.losses", *losses)
    return {"outside": found} if found else {}


def _views(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The hashes of the views that a dataset's training rows are drawn among; nothing where there are none."""
    if "views" not in facts:
        return {}
    return {"views": {name: store["features_sha256"] for name, store in facts["views"]["stores"].items()}}


def name_and_file(workspace: Workspace, output: Path | None, words: Sequence[str], config: dict[str, Any]) -> tuple[str, Path]:
    """The name of an experiment or a study and the file of its record; run records lie in the folder of the same name.

    Args:
        output: the file that the user chose; None names it after the words and the configuration's hash.
        config: see `identity`.

    Raises:
        ConfigError: `output` does not end in .json, or is the record of another experiment.
    """
    if output is not None:
        if output.suffix != ".json":
            raise ConfigError(f"--output {output}", expected="a file that ends in .json")
        if output.exists():
            there = read_record(output)
            if not isinstance(there, Opening) or there.config_hash != config_hash(config):
                raise ConfigError(f"{output} is the record of another experiment", action="Choose another --output.")
        return output.stem, output
    name = "-".join([*words, config_hash(config)[:8]]).replace(":", "-")
    return name, workspace.results / f"{name}.json"


def relative_path(here: Path, there: Path) -> str:
    """The path of a file relative to another's folder, with `/` between the steps."""
    return Path(os.path.relpath(there, here.parent)).as_posix()
