"""Commands over many results: time and peak memory from 1,000 to 100,000 of them.

    python benchmarks/many_results.py FOLDER [--records 1000 10000 100000] [--whole 100 1000]

Two experiments (`linear` and `mlp`, 1,000 made utterances, two runs) are trained, and the record of the first is copied under
new names, with scores, seeds and dates of its own: `results list` reads all of them, and `show`, `compare`, `report` and
`verify` find the two among the copies. `--whole`: so many copies with their runs and predictions too, for `results verify
--all`. Each command is its own process.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

from large import metered, store, table

SER = [sys.executable, "-m", "ser"]


def trained(folder: Path) -> None:
    """A workspace with two experiments, `first` and `second`."""
    folder.mkdir(parents=True)
    space = ["--workspace", str(folder), "--quiet"]
    table(folder / "large.csv", 1000)
    words = ["metadata", "--dataset", "large", "--root", str(folder / "large.csv"), "--format", "csv", *space]
    subprocess.run([*SER, *words], check=True)
    store(folder, 1000, 8)
    for name, head in (("first", "linear"), ("second", "mlp")):
        words = ["fit", "--dataset", "large", "--text", "made", "--head", head, "--runs", "2", "--epochs", "3", *space]
        output = folder / "results" / f"{name}.json"
        subprocess.run([*SER, *words, "--output", str(output)], check=True, stdout=subprocess.DEVNULL)


def copies(results: Path, begin: int, end: int, whole: bool) -> None:
    """Copies of the first experiment under other names; of those that are not whole scores, seed and date are changed too."""
    record = json.loads((results / "first.json").read_text())
    own = record["experiment"]
    for number in range(begin, end):
        name, draw = f"copy-{number:06d}", random.Random(number)
        if whole:
            shutil.copytree(results / "first", results / name)
            for path in (results / name).glob("*.json"):
                path.write_text(path.read_text().replace(f'"{own}', f'"{name}'))
        else:
            record["config"]["seed"] = number
            record["time"]["started"] = f"2026-{1 + number % 12:02d}-{1 + number % 28:02d}T00:00:00+00:00"
            for scores in record["pooled"].values():
                if isinstance(scores, dict) and "mean" in scores:
                    scores["mean"] = draw.random()
        text = json.dumps(record, indent=2).replace(f'"{own}', f'"{name}').replace('"first/', f'"{name}/')
        (results / f"{name}.json").write_text(text + "\n")


def main() -> None:
    """Measure each command over each number of results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--records", type=int, nargs="*", default=[1000, 10_000, 100_000])
    parser.add_argument("--whole", type=int, nargs="*", default=[100, 1000])
    given = parser.parse_args()
    commands = {
        "list, the first time": ["list"],
        "list, again": ["list"],
        "list --sort UA --limit 10": ["list", "--sort", "UA", "--limit", "10"],
        "show": ["show", "first"],
        "compare": ["compare", "first", "second"],
        "report": ["report", "first", "second"],
        "verify": ["verify", "first"],
    }
    for kind, counts in (("records", given.records), ("whole", given.whole)):
        space = given.folder / kind
        if counts:
            trained(space)
        for begin, end in zip([0, *counts], counts, strict=False):
            copies(space / "results", begin, end, kind == "whole")
            asked = commands if kind == "records" else {"verify --all": ["verify", "--all"]}
            for name, words in asked.items():
                row = metered(0, *SER, "results", *words, "--workspace", str(space))
                print(f"{end:7} {name:26} {row}", flush=True)


if __name__ == "__main__":
    main()
