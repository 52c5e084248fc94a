"""The cost of `ser fit` beside the usual training loop (`usual_loop.py`) and beside the bound of this machine.

    python benchmarks/train.py [--case cross_attention ...] [--rounds 3] [--runs N] [--epochs E] [--utterances 2755]
        [--precision bfloat16]
    python benchmarks/train.py --cost [--device cuda]
    python benchmarks/train.py --table [--scale 0.25] [--rounds 1] [--epochs 2]

Both are whole processes, from the interpreter's start to the result, on the same random features, the same number of epochs
and steps of 16 utterances; they take turns, medians of wall time, ratios of each round. Both validate every epoch and predict
the test part. The loop has torch's own number of threads, `ser fit` its own choice. `per run` subtracts what a process takes
for one epoch of one run on 64 utterances: start-up and imports.

`--cost` runs `ser fit` alone (of the cases linear, mlp and cross_attention): over numbers of runs, and of utterances, with the
largest memory of a process; `cross_attention` has 100 runs on a GPU only. Times of one run's are without start-up: without what
one epoch takes.

`--table` is what must be shown, in at most 20 minutes of a quiet machine: the cases on few epochs, and whole commands beside
the scripts of seed 1 (`seed_scripts.py`): in-domain training, fine-tuning, DANN, and few-shot learning at 10, 20, 50 and 100 %,
on `--scale` of the sizes of IEMOCAP and CREMA-D. Both train source models on the same utterances. `ser finetune` also trains on
the target alone, `ser adapt` on the source alone and with the target's labels, which the scripts do not: these trainings are in
its time. The scripts of few-shot learning train a source model for each percentage, `ser` one. `of equal work` is the ratio of
processor seconds for each utterance that a head was trained on, an epoch of a run (`trained_on`). Processor seconds stand
beside those of the clock.

For the bound of `cross_attention` (printed with it): the matrix products of a step, forward and backward, at the speed that two
processes with one thread each reach on products of these shapes, and one pass of the fused optimiser over its state.
"""

import argparse
import itertools
import os
import pickle
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

HERE = Path(__file__).parent
CLASSES = ("anger", "happiness", "neutral", "sadness")


class Case(NamedTuple):
    """A head on features: its name, (dimensions, shortest and longest frames) a store, its options, runs, epochs."""

    head: str
    stores: tuple[tuple[int, int, int], ...]
    options: tuple[str, ...] = ()
    runs: int = 5
    epochs: int = 2
    utterances: int = 2755


peak: list[int] = []  # kB, of the largest process of each command
POOLED = ((768, 1, 1), (1024, 1, 1))
CASES = {
    "cross_attention": Case("cross_attention", POOLED, epochs=3),
    "linear": Case("linear", POOLED, runs=20, epochs=20),
    "mlp": Case("mlp", POOLED, ("hidden=64",), runs=20, epochs=15),
    "cross_attention_frames": Case("cross_attention", ((768, 100, 100), (768, 20, 20)), runs=2, epochs=1, utterances=320),
    "cross_attention_mixed": Case("cross_attention", ((768, 50, 250), (768, 10, 40)), runs=2, epochs=1, utterances=320),
    "resnet18": Case("resnet18", ((64, 300, 300),), runs=2, epochs=1, utterances=300),
    "cnn_bilstm": Case("cnn_bilstm", ((64, 300, 300),), runs=2, epochs=1, utterances=320),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rounds", type=int, help="[default: 3, of --table 1]")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--utterances", type=int)
    parser.add_argument("--precision", default="float32", help="of `ser fit`; the loop stays in float32")
    parser.add_argument("--cost", action="store_true")
    parser.add_argument("--device", default="cpu", help="of --cost")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--scale", type=float, default=0.25, help="of --table")
    parser.add_argument("--task", nargs="*", choices=list(COMMANDS), default=list(COMMANDS), help="of --table")
    arguments = parser.parse_args()
    if arguments.table:
        given = (arguments.scale, arguments.rounds or 1, arguments.runs or 5, arguments.epochs or 2)
        table(arguments.case, arguments.task, *given)
        return
    arguments.rounds = arguments.rounds or 3
    if arguments.cost:
        cost(arguments.device, arguments.case)
        return
    given = {k: v for k in ("runs", "epochs", "utterances") if (v := getattr(arguments, k))}
    print(f"{os.cpu_count()} cores; wall seconds, medians of {arguments.rounds} rounds that take turns\n")
    print("| case | runs x epochs | steps an epoch | usual loop | ser fit | times faster | the same, without start-up |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in arguments.case:
        compare(name, CASES[name]._replace(**given), arguments.rounds, arguments.precision)


PARTS = {"train": "train", "validation": "val", "test": "test"}  # of a dataset, as `ser` and as the scripts name them
# Of `--table`: epochs, and the part of the utterances that a full epoch has.
SHORT = {
    "cross_attention": (1, 1.0),
    "linear": (40, 0.25),
    "mlp": (40, 0.25),
    "cross_attention_frames": (1, 0.5),
    "cnn_bilstm": (1, 1.0),
    "resnet18": (1, 1.0),
}
COMMANDS = {
    "in-domain": ["fit", "--dataset", "source", "--refit", "never"],
    "finetune": ["finetune", "--source", "source", "--target", "target", "--tune-epochs", "EPOCHS"],
    "dann": ["adapt", "--source", "source", "--target", "target", "--method", "dann", "--lambda", "0.1"],
    "fewshot": [
        *("fewshot", "--source", "source", "--target", "target", "--percentages", "10,20,50,100"),
        *("--tune-epochs", "EPOCHS"),
    ],
}


def table(cases: list[str], tasks: list[str], scale: float, rounds: int, runs: int, epochs: int) -> None:
    """The table of what must be shown."""
    print(f"{os.cpu_count()} cores; load before {os.getloadavg()[0]:.1f}; medians of {rounds} rounds that take turns\n")
    print("| case | runs x epochs | steps an epoch | usual loop | ser fit | times faster | the same, without start-up |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name, (length, share) in SHORT.items():
        if name not in cases:
            continue
        case = CASES[name]
        utterances = max(64, int(case.utterances * min(1.0, share * scale * 4)))
        compare(name, case._replace(epochs=length, utterances=utterances), rounds)
    if not tasks:
        return
    with tempfile.TemporaryDirectory(prefix="ser-train-") as folder:
        space = Path(folder)
        for dataset, size in (("source", 2755), ("target", 3920)):
            make(CASES["cross_attention"]._replace(utterances=max(64, int(size * scale))), space, dataset)
            parts = {name: np.load(space / f"{part}.npy") for part, name in PARTS.items()}
            pickles(space, dataset, parts)
            if dataset == "source":
                whole = dict(zip(("train", "val"), whole_source(space), strict=True))
                pickles(space, "whole", whole)
                sizes = [len(parts["train"]), len(whole["train"])]
        sizes.append(len(parts["train"]))
        print(f"\nTraining utterances: in-domain {sizes[0]}; else {sizes[1]} of the source and {sizes[2]} of the target.")
        print(f"{runs} runs of {epochs} epochs\n")
        print(
            "| task | script, s | ser, s | times faster | script, processor s | ser, processor s | times less | of equal work |"
        )
        print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
        scripts: dict[str, list[float]] = {}
        for task in tasks:
            script = [sys.executable, str(HERE / "seed_scripts.py"), task, str(space), str(runs), str(epochs)]
            taken: list[tuple[tuple[float, float], tuple[float, float]]] = []
            for number in range(rounds):
                ways = [partial(measured, script), partial(transferred, space, task, runs, epochs)]
                found = {k: ways[k]() for k in ((0, 1) if number % 2 else (1, 0))}
                taken.append((found[0], found[1]))
            cells = []
            for part in (0, 1):
                scripts.setdefault(task, []).append(statistics.median(t[0][part] for t in taken))
                a, b = (statistics.median(t[way][part] for t in taken) for way in (0, 1))
                cells += [f"{a:.1f}", f"{b:.1f}", f"{statistics.median(t[0][part] / t[1][part] for t in taken):.2f}"]
            script_rows, rows = trained_on(task, *sizes)
            print(f"| {task} | {' | '.join(cells)} | {float(cells[-1]) * rows / script_rows:.2f} |", flush=True)
        # As a study goes: what one command has recorded, the next one finds.
        own = {task: transferred(space, task, runs, epochs, keep=True) for task in tasks}
        for names in (*([task] for task in tasks[1:]), tasks):
            pairs = [(sum(scripts[name][k] for name in names), sum(own[name][k] for name in names)) for k in (0, 1)]
            cells = [f"{a:.1f} | {b:.1f} | {a / b:.2f}" for a, b in pairs]
            which = f"{names[0]}, after those above" if len(names) == 1 else "all, one after another"
            print(f"| {which} in one workspace | {' | '.join(cells)} | |", flush=True)


def whole_source(space: Path) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the source that `ser` trains and validates a source model on: all of them, as none of it is tested."""
    from ser.metadata.folds.fold import FoldOptions
    from ser.metadata.folds.protocols import train_and_validation
    from ser.metadata.table import read_table
    from ser.workspace import Workspace

    frame = read_table(Workspace(space).table("source")).frame
    return train_and_validation(frame, np.load(space / "labels.npy"), FoldOptions())


def trained_on(task: str, own: int, source: int, target: int) -> tuple[int, float]:
    """The utterances that heads are trained on in an epoch of one run, by the script and by `ser`; DANN takes a batch of each.

    >>> trained_on("finetune", 0, 1, 10)
    (11, 21)

    Args:
        own: of the source where it is tested too.
        source, target: of those that are not, and are.
    """
    shots = sum(target * share // 100 for share in (10, 20, 50, 100))
    return {
        "in-domain": (own, own),
        "finetune": (source + target, source + 2 * target),  # source only, tuned; target only
        "dann": (2 * source, 3 * source + target),  # source only, adapted, target only
        "fewshot": (4 * source + shots, source + shots),
    }[task]


def transferred(space: Path, task: str, runs: int, epochs: int, keep: bool = False) -> tuple[float, float]:
    """Wall and processor seconds of the command of `ser`."""
    words = [str(epochs) if word == "EPOCHS" else word for word in COMMANDS[task]]
    command = [sys.executable, "-c", "from ser.cli import entry; entry()", *words, "--workspace", str(space)]
    command += ["--head", "cross_attention", "--protocol", "official", "--runs", str(runs), "--epochs", str(epochs)]
    found = measured([*command, "--batch-size", "16", "--lr", "1e-4", "--patience", "0", "--quiet"])
    if not keep:  # or the next round finds its runs
        shutil.rmtree(space / "results")
    return found


def measured(command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds of a command with all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall = timed(command)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def pickles(folder: Path, dataset: str, parts: dict[str, np.ndarray]) -> None:
    """The arrays of the dataset that was made last as the scripts of seed 1 have them: a file for each part of its rows."""
    text, audio, labels = (np.load(folder / f"{name}.npy") for name in ("values_0", "values_1", "labels"))
    for name, rows in parts.items():
        items = [{"text": text[k], "audio": audio[k], "label": int(labels[k])} for k in rows]
        (folder / f"{dataset}_{name}.pkl").write_bytes(pickle.dumps(items))


def compare(name: str, case: Case, rounds: int, precision: str = "float32") -> None:
    with tempfile.TemporaryDirectory(prefix="ser-train-") as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        make(case, large)
        make(case._replace(utterances=64), small)
        idle = [usual(small, name, 1, 1), ours(small, case, 1, 1, precision=precision)]
        times = []
        for number in range(rounds):
            ways = [
                lambda: usual(large, name, case.runs, case.epochs),
                lambda: ours(large, case, case.runs, case.epochs, precision=precision),
            ]
            taken = {k: ways[k]() for k in ((0, 1) if number % 2 else (1, 0))}
            times.append((taken[0], taken[1]))
    loop, own = (statistics.median(t[k] for t in times) for k in (0, 1))
    whole = statistics.median(a / b for a, b in times)
    bare = statistics.median((a - idle[0]) / (b - idle[1]) for a, b in times)
    steps = -(-case.utterances // 16)
    print(f"| {name} | {case.runs} x {case.epochs} | {steps} | {loop:.1f} | {own:.1f} | {whole:.2f} | {bare:.2f} |", flush=True)
    if name == "cross_attention":
        matmul, state = bound(case)
        best = (matmul + state) * steps * case.epochs * case.runs / (os.cpu_count() or 1)
        print(
            f"\nbound: products {matmul * 1e3:.1f} ms and optimiser {state * 1e3:.1f} ms a step and core; all steps "
            f"{best:.1f} s; reached {best / (own - idle[1]):.2f} of it without start-up, the usual loop {best / loop:.2f}\n"
        )


def cost(device: str, names: list[str]) -> None:
    """`ser fit` over numbers of runs and of utterances: wall seconds, times those of one run, and memory."""
    print(f"{os.cpu_count()} cores, {device}\n")
    print("| case | epochs | runs | utterances | wall | times one run's, without start-up | peak memory of a process |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    rows = [
        (name, runs, 2755)
        for name in ("linear", "mlp", "cross_attention")
        for runs in ((1, 5, 20, 100) if device != "cpu" or name != "cross_attention" else (1, 5, 20))
        if name in names
    ]
    rows += [("mlp", 5, utterances) for utterances in (1000, 10_000, 100_000) if "mlp" in names]
    one = {}
    for name, runs, utterances in rows:
        with tempfile.TemporaryDirectory(prefix="ser-train-") as folder:
            case, space = CASES[name]._replace(utterances=utterances), Path(folder) / "space"
            # So many that an epoch's time stands out from the start-up, of which a GPU has more.
            epochs = 5 if utterances != 2755 else 2 if device == "cpu" and name == "cross_attention" else 40
            make(case, space)
            seconds = ours(space, case, runs, epochs, device)
            memory = peak[-1]
            bare = seconds - ours(space, case, runs, 1, device)
        one[name, utterances] = one.get((name, utterances), bare) if runs > 1 else bare
        times = f"{bare / one[name, utterances]:.2f}" if utterances == 2755 else ""
        print(
            f"| {name} | {epochs} | {runs} | {utterances:,} | {seconds:.1f} s | {times} | {memory / 1024:.0f} MB |", flush=True
        )


def make(case: Case, folder: Path, dataset: str = "bench") -> None:
    """The features as a workspace of `ser`, and as arrays for the loop; 400 utterances more each for validation and test."""
    from ser.features.stores.layout import Facts, Record
    from ser.features.stores.writer import StoreWriter
    from ser.metadata.table import make_table, write_table
    from ser.workspace import Workspace

    random = np.random.default_rng(0)
    parts = np.repeat(["train", "validation", "test"], [case.utterances, *[min(400, case.utterances // 4)] * 2])
    labels = random.integers(0, len(CLASSES), len(parts))
    rows = [
        {
            "utterance_id": f"u{k:06d}",
            "path": f"{k}.wav",
            "emotion": CLASSES[y],
            "label": CLASSES[y],
            "speaker": f"{part}-{k % 10}",
            "text": "text",
            "split": part,
        }
        for k, (y, part) in enumerate(zip(labels, parts, strict=True))
    ]
    folder.mkdir(parents=True, exist_ok=True)
    space = Workspace(folder)
    write_table(make_table(rows, dataset, {"corpus": "csv"}), space)
    np.save(folder / "labels.npy", labels)
    for part in ("train", "validation", "test"):
        np.save(folder / f"{part}.npy", np.flatnonzero(parts == part))
    for number, (dim, low, high) in enumerate(case.stores):
        frames = random.integers(low, high + 1, len(parts))
        offsets = np.concatenate([[0], np.cumsum(frames)])
        centres = random.normal(size=(len(CLASSES), dim)) * 0.1
        values = (np.repeat(centres[labels], frames, 0) + random.normal(size=(offsets[-1], dim))).astype(np.float32)
        np.save(folder / f"values_{number}.npy", values)
        np.save(folder / f"offsets_{number}.npy", offsets)
        level = "frame" if high > 1 else "utterance"
        facts = Facts(f"store{number}", ("audio", "text")[number], level, dim, {"encoder": f"store{number}"}, 0, 0)
        with StoreWriter(space.store(dataset, f"store{number}"), facts) as writer:
            pieces = [values[a:b] if high > 1 else values[a] for a, b in itertools.pairwise(offsets)]
            writer.commit([Record(r["utterance_id"], p, bytes(32)) for r, p in zip(rows, pieces, strict=True)])
            writer.merge([r["utterance_id"] for r in rows])


def usual(folder: Path, name: str, runs: int, epochs: int) -> float:
    return timed([sys.executable, str(HERE / "usual_loop.py"), str(folder), name, str(runs), str(epochs)])


def ours(folder: Path, case: Case, runs: int, epochs: int, device: str = "cpu", precision: str = "float32") -> float:
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-c", "from ser.cli import entry; entry()", "fit", "--workspace", str(folder)]
        command += ["--head", case.head, "--protocol", "official", "--runs", str(runs), "--epochs", str(epochs)]
        command += ["--batch-size", "16", "--lr", "1e-4", "--patience", "0", "--refit", "never", "--quiet"]
        command += ["--device", device, "--precision", precision]
        command += [word for option in case.options for word in ("--head-option", option)]
        return timed([*command, "--output", f"{out}/summary.json"])


def timed(command: list[str]) -> float:
    begin = time.monotonic()
    script = (
        "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(code)"
    )
    whole = [sys.executable, "-c", script, *command]
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    peak.append(int(done.stdout.split()[-1]))
    return time.monotonic() - begin


def bound(case: Case) -> tuple[float, float]:
    """Seconds of a step's matrix products and of the optimiser's pass, on one core while the other does the same."""
    with get_context("spawn").Pool(os.cpu_count()) as pool:
        results = pool.map(measure, [case] * (os.cpu_count() or 1))
    products, passes = zip(*results, strict=True)
    return statistics.median(products), statistics.median(passes)


def measure(case: Case) -> tuple[float, float]:
    import torch

    from ser.train.heads._base import build_head
    from ser.train.nn.layers import Input

    torch.set_num_threads(1)
    inputs = [Input(f"s{k}", ("audio", "text")[k], dim, high > 1) for k, (dim, _, high) in enumerate(case.stores)]
    head = build_head(case.head, inputs, len(CLASSES), {}, 0)
    shapes = [p.shape[1:] for p in head.parameters() if p.ndim == 3 and p.shape[1] > 1]
    theta = torch.zeros(1, sum(p.numel() for p in head.parameters()), requires_grad=True)
    theta.grad = torch.full_like(theta, 1e-3)
    optimiser = torch.optim.AdamW([theta], fused=True)
    pairs = [(torch.randn(16, a), torch.randn(a, b), torch.randn(16, b)) for a, b in shapes]

    def products() -> Any:
        for x, w, g in pairs:
            x @ w
            g @ w.t()
            x.t() @ g

    return repeat(products), repeat(optimiser.step)


def repeat(function: Any, times: int = 40) -> float:
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        function()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[5:])


if __name__ == "__main__":
    main()
