"""`ser results list` over many records: the first time (all are read) and later ones (the index is).

    python benchmarks/list_results.py                       # 10,000 records, in a temporary folder
    python benchmarks/list_results.py --records 1000

The records are whole ones, of the sizes that experiments have: summaries of simulated experiments are made by the package
itself, with their folds, groups and lists of runs, and written again and again under other names, dates, heads and scores.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from ser.jsonfile import check, dumps, plain
from ser.results.records.model import RunResult, Sizes, Summary
from ser.results.records.names import METRICS
from ser.results.records.numbers import RunScores
from ser.results.stored.summary import FinishedExperiment, summarise

CLASSES = ["anger", "happiness", "neutral", "sadness"]
SHAPES = [(5, 24), (20, 6), (5, 6)]  # runs and folds
HEADS = ("linear", "mlp", "cross_attention", "gated")


def frame(runs: int, folds: int, speakers: int = 24, each: int = 8) -> pd.DataFrame:
    """Test predictions of an experiment; a speaker is tested in one fold."""
    random = np.random.default_rng(0)
    who, run = (a.ravel() for a in np.meshgrid(np.arange(speakers * each) // each, np.arange(runs)))
    truth = np.tile(random.integers(0, len(CLASSES), speakers * each), runs)
    guess = np.where(random.random(len(truth)) < 0.6, truth, random.integers(0, len(CLASSES), len(truth)))
    names = np.array(CLASSES, dtype=object)
    rows = pd.DataFrame(
        {
            "utterance_id": [f"u{i:05d}" for i in range(speakers * each)] * runs,
            "run": run,
            "fold": (who % folds).astype(str),
            "split": "test",
            "true": names[truth],
            "predicted": names[guess],
            "speaker": [f"speaker_{s:02d}" for s in who],
            "gender": np.where(who % 2, "female", "male"),
        }
    )
    return rows.assign(**{f"p_{c}": (guess == k).astype(float) for k, c in enumerate(CLASSES)})


def template(runs: int, folds: int) -> Summary:
    scores = RunScores(UA=0.5, WA=0.5, WF1=0.5, Macro_F1=0.5)
    records = [
        RunResult(
            experiment="template",
            run=r,
            fold=str(f),
            seed=2**62 + 1000 * r + f,
            n=Sizes(train=500, validation=60, test=28),
            best_epoch=12,
            test=scores,
            seconds=1.2345678901234567,
        )
        for r in range(runs)
        for f in range(folds)
    ]
    store = {"features_sha256": "a" * 64, "sha256": "b" * 64, "encoder": "egemaps", "level": "utterance", "identity": {}}
    data = {
        "dataset": "ravdess",
        "table": {"path": "metadata/ravdess.csv", "sha256": "c" * 64},
        "stores": {"egemaps": store},
        "scheme": "4",
        "protocol": "speaker",
        "folds": [{"name": str(f), "train": 500, "validation": 60, "test": 28} for f in range(folds)],
    }
    finished = FinishedExperiment(
        experiment="template",
        command="ser fit --dataset ravdess",
        config={"head": "mlp", "epochs": 40},
        data=data,
        stamps=["a stamp"],
        runs=records,
        predictions=frame(runs, folds),
        classes=CLASSES,
        started="2026-01-01T00:00:00+00:00",
        seconds=60.0,
    )
    return summarise(finished)


def make(folder: Path, number: int, shapes: list[tuple[int, int]]) -> int:
    """Write records as the package formats them; returns their bytes."""
    folder.mkdir(parents=True)
    texts = []
    for shape in shapes:
        content = plain(template(*shape))
        check(content, Summary, "template")
        content |= {"experiment": "EXPERIMENT", "config": {**content["config"], "head": "HEAD"}}
        content["time"]["started"] = "STARTED"
        for k, metric in enumerate(METRICS):
            content["pooled"][metric]["mean"] = 0.123456780 + k
        texts.append(dumps(content) + "\n")
    random, total = np.random.default_rng(1), 0
    for n in range(number):
        name, text = f"fit-ravdess-{HEADS[n % 4]}-speaker-4-{n:08x}", texts[n % len(texts)]
        text = text.replace("EXPERIMENT", name).replace("HEAD", HEADS[n % 4])
        text = text.replace("STARTED", f"2026-{1 + n % 12:02d}-{1 + n % 28:02d}T{n % 24:02d}:00:00+00:00")
        for k in range(len(METRICS)):
            text = text.replace(repr(0.123456780 + k), repr(float(random.random())))
        total += (folder / f"{name}.json").write_bytes(text.encode())
    return total


def measured(words: list[str]) -> tuple[float, float, int]:
    """Wall and processor seconds of a command, and lines that it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.perf_counter()
    program = "import sys; from ser.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=True)
    wall = time.perf_counter() - begun
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, len(done.stdout.splitlines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "results"
        total = make(folder, asked.records, SHAPES)
        print(f"{asked.records:,} records, {total / asked.records / 1e3:.0f} kB each, {total / 1e6:.0f} MB")
        time.sleep(3)  # what has just changed is not kept
        base = ["results", "list", "--workspace", root]
        print("| command | wall s | processor s | lines |\n| --- | --- | --- | --- |")
        asks = {
            "the first time": base,
            "again": base,
            "`--head mlp --sort UA --limit 10`": [*base, "--head", "mlp", "--sort", "UA", "--limit", "10"],
            "`--json`": [*base, "--json"],
        }
        for name, words in asks.items():
            wall, processor, lines = measured(words)
            print(f"| {name} | {wall:.2f} | {processor:.2f} | {lines:,} |", flush=True)
        newest = max(folder.glob("*.json"), key=os.path.getmtime)
        newest.write_bytes(newest.read_bytes())
        wall, processor, lines = measured(base)
        print(f"| one record changed | {wall:.2f} | {processor:.2f} | {lines:,} |")
        print(f"index: {(folder / '.list.cache').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
