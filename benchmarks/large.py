"""Large corpora: time and peak memory of commands on made tables and stores, from 10,000 to a million utterances.

    python benchmarks/large.py FOLDER [--rows 10000 100000 1000000] [--width 768] [--epochs 100] [--limit-gib 12] [steps ...]
    python benchmarks/large.py FOLDER --rows 100000 --frames 1000 --width 8 --head mean_linear --memory 0.5 --limit-gib 3

The corpus is a CSV of utterances with text and without audio: 4 classes, one speaker for each 100 utterances. The store has
normal noise with a little of the class in it, a vector for each utterance or (`--frames`) so many in the mean, in float16;
eight of ten speakers are the training part. Each command is its own process, under `ulimit -v` where a limit is given;
`--memory` is that of `ser fit` and `ser evaluate`. Steps: metadata, audit (`--no-audio`), plan (what `ser extract` has to do
with a store that lacks a tenth), fit (`linear`, 5 seeds), evaluate, list. Prints a row for each.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

LABELS = ("anger", "happiness", "neutral", "sadness")
STEPS = ("metadata", "audit", "plan", "fit", "evaluate", "list")
# A command in a child, under a limit of address space: exit code, seconds, seconds of the processor and peak memory.
METER = """
import json, resource, subprocess, sys, time
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
clock = time.monotonic()
done = subprocess.run(sys.argv[2:], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
last = (done.stdout.strip().splitlines() or [""])[-1]
print(json.dumps([done.returncode, time.monotonic() - clock, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, last]))
"""
PLAN = """
import sys
from ser.extract.plan import batches, by_cost, merged, part, plan
from ser.extract.utterances import hashes, text_items
from ser.features.stores.store import FeatureStore
from ser.metadata.table import load_table
from pathlib import Path
from ser.workspace import Workspace
space = Workspace(Path(sys.argv[1]))
table = load_table("large", space)
items = text_items(table)
sources, _ = hashes(items)
with FeatureStore(space.store("large", "made")) as store:
    stored = dict(list(store.sources().items())[: len(items) * 9 // 10])
found = plan([item.id for item in items], sources, stored)
costs = [float(1 + len(item.text) % 7) for item in items]
order = by_cost(costs)
sorted_costs = [costs[k] for k in order]
chunks = merged(batches(sorted_costs, 64.0, True), sorted_costs, 128, float("inf"))
print(len(found.done), "done", len(found.todo), "to do", len(chunks), "chunks", len(part(chunks, (1, 4))), "of part 1")
"""


def table(path: Path, rows: int) -> None:
    """The corpus: one CSV."""
    number = np.arange(rows)
    pd.DataFrame(
        {
            "utterance_id": [f"u{k:07d}" for k in number],
            "label": np.array(LABELS)[number % 4],
            "speaker": [f"s{k:05d}" for k in number // 100],
            "split": np.array(["train"] * 8 + ["dev", "test"])[number // 100 % 10],
            "text": [f"sentence {k} of the corpus" for k in number],
        }
    ).to_csv(path, index=False)


def store(workspace: Path, rows: int, width: int, frames: int = 0) -> None:
    """A store of the corpus's text, written piece by piece; utterances have half to one and a half times so many frames."""
    from ser.extract.utterances import hashes, text_items
    from ser.features.stores.layout import Facts, Record
    from ser.features.stores.writer import StoreWriter
    from ser.metadata.table import load_table
    from ser.workspace import Workspace

    space = Workspace(workspace)
    items = text_items(load_table("large", space))
    sources, _ = hashes(items)
    centres = np.random.default_rng(0).normal(0, 0.1, (4, width))
    facts = Facts("made", "text", "frame" if frames else "utterance", width, {"made": "by a benchmark"})
    path = space.store("large", "made")
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)

    def records(begin: int, end: int) -> list[Record]:
        some = items[begin:end]
        classes = np.arange(begin, begin + len(some)) % 4
        if not frames:
            values = (rng.normal(0, 1, (len(some), width)) + centres[classes]).astype(np.float32)
            return [Record(i.id, v, sources[i.id]) for i, v in zip(some, values, strict=True)]
        lengths = rng.integers(frames // 2, frames * 3 // 2 + 1, len(some))
        drawn = rng.standard_normal((int(lengths.sum()), width), np.float32) + np.repeat(centres[classes], lengths, axis=0)
        each = np.split(drawn.astype(np.float16), np.cumsum(lengths)[:-1])
        return [Record(i.id, v, sources[i.id]) for i, v in zip(some, each, strict=True)]

    step = 2000 if frames else 10_000
    with StoreWriter(path, facts, overwrite=True) as writer:
        for begin in range(0, rows, step):
            writer.commit(records(begin, begin + step))
        writer.merge([item.id for item in items])


def metered(limit: float, *words: str) -> str:
    """The numbers of a command in a row of the report."""
    command = [sys.executable, "-c", METER, str(int(limit * 2**30)), *words]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    code, seconds, processor, peak, last = json.loads(done.stdout.splitlines()[-1])
    return f"code {code}  {seconds:8.1f} s  {processor:8.1f} s of the processor  {peak:6.2f} GiB  {last[:100]}"


def main() -> None:
    """Do the steps for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("steps", nargs="*", default=list(STEPS))
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--frames", type=int, default=0)
    parser.add_argument("--head", default="linear")
    parser.add_argument("--hidden")
    parser.add_argument("--runs", default="5")
    parser.add_argument("--memory")
    parser.add_argument("--epochs", default="100")
    parser.add_argument("--limit-gib", type=float, default=0.0)
    given = parser.parse_args()
    bound = ["--memory", given.memory] if given.memory else []
    for rows in given.rows:
        folder = given.folder / str(rows)
        space = ["--workspace", str(folder), "--quiet"]
        ser = [sys.executable, "-m", "ser"]
        source = folder / "large.csv"
        folder.mkdir(parents=True, exist_ok=True)
        if not source.exists():
            table(source, rows)
        fit = [
            "fit",
            "--dataset",
            "large",
            "--text",
            "made",
            "--head",
            given.head,
            "--runs",
            given.runs,
            "--epochs",
            given.epochs,
        ]
        fit += [*bound, *(["--head-option", f"hidden={given.hidden}"] if given.hidden else [])]
        head = folder / "results" / "head.json"
        commands = {
            "metadata": [*ser, "metadata", "--dataset", "large", "--root", str(source), "--format", "csv", *space],
            "audit": [*ser, "audit", "--dataset", "large", "--no-audio", *space],
            "plan": [sys.executable, "-c", PLAN, str(folder)],
            "fit": [*ser, *fit, "--save", "--jobs", "1", "--output", str(head), *space],
            "evaluate": [*ser, "evaluate", "--model", "head", "--dataset", "large", *bound, *space],
            "list": [*ser, "results", "list", *space],
        }
        for step in given.steps:
            if step not in ("metadata", "audit") and not (folder / "features").exists():
                begun = time.monotonic()
                store(folder, rows, given.width, given.frames)
                print(f"{rows:8} made the store in {time.monotonic() - begun:.0f} s", flush=True)
            print(f"{rows:8} {step:9} {metered(given.limit_gib, *commands[step])}", flush=True)
    print("peak of this process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, "GiB")


if __name__ == "__main__":
    main()
