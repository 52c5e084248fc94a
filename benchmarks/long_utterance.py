"""Memory and time that one long recording takes: each encoder, one utterance of noise, a process each.

    python benchmarks/long_utterance.py --models FOLDER                        # 2 minutes
    python benchmarks/long_utterance.py --models FOLDER --minutes 5 --only emotion2vec wavlm-base

Full-size models with random weights (`benchmarks/models.py` makes what FOLDER lacks), of which the first two blocks are
computed: each block takes as much memory as the one before it. Memory is the peak of the process, the model included; a process
that asks for more address space than `--limit` fails, and the table says so. Time is the processor's, of the one call that
encodes.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import models

SIGNAL = ("logmel", "mfcc", "egemaps")
GB = 1e9


def measure(name: str, folder: str, minutes: float, limit: float) -> dict[str, Any]:
    """One encoder on one utterance, in this process.

    Args:
        folder: of the model; "" for signal processing.
        limit: GB of address space.
    """
    import numpy as np

    from ser.extract.encoder import load
    from ser.extract.options import EncoderOptions

    resource.setrlimit(resource.RLIMIT_AS, (int(limit * GB), int(limit * GB)))
    text = name == "bert"
    encoder = load(folder or name, "text" if text else "audio", EncoderOptions(layers=(2,) if folder else "last"))
    if text:
        words = np.random.default_rng(0).integers(0, 20000, int(150 * minutes))  # so many a minute are spoken
        given: Any = " ".join(f"w{n}" for n in words)
    else:
        samples = int(minutes * 60 * encoder.sample_rate)
        given = np.random.default_rng(0).normal(0, 0.1, samples).astype(np.float32)
    before = peak()
    begin = time.process_time()
    encoder.encode([given])
    seconds = time.process_time() - begin
    return {"before": before, "peak": peak(), "seconds": seconds}


def peak() -> int:
    """Bytes of memory that this process had at most so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def row(name: str, folder: str, minutes: float, limit: float) -> str:
    """A line of the table, measured in a process of its own."""
    command = [sys.executable, __file__, "--one", name, folder, str(minutes), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        if "allocate memory" not in done.stderr and "MemoryError" not in done.stderr:
            raise SystemExit(done.stderr or f"{name}: exit code {done.returncode}")
        return f"| {name} | {minutes:g} | over {limit:g} GB | - | - |"
    found = json.loads(done.stdout.strip().split("\n")[-1])
    return f"| {name} | {minutes:g} | {found['peak'] / GB:.1f} GB | {found['before'] / GB:.1f} GB | {found['seconds']:.1f} s |"


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        name, folder, minutes, limit = sys.argv[2:]
        print(json.dumps(measure(name, folder, float(minutes), float(limit))))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[2.0])
    parser.add_argument("--only", nargs="+", choices=[*models.BUILDERS, *SIGNAL], default=[*models.BUILDERS, *SIGNAL])
    parser.add_argument("--limit", type=float, default=16.0, help="GB of address space of a process")
    chosen = parser.parse_args()
    print("| encoder | minutes | peak memory | before encoding | processor time |\n| --- | ---: | ---: | ---: | ---: |")
    for minutes in chosen.minutes:
        for name in chosen.only:
            folder = "" if name in SIGNAL else str(chosen.models / name)
            if folder:  # in a process of its own: a process starts with the peak of the one that starts it
                subprocess.run([sys.executable, models.__file__, str(chosen.models), name], check=True, capture_output=True)
            print(row(name, folder, minutes, chosen.limit), flush=True)


if __name__ == "__main__":
    main()
