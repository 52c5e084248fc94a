"""Kill `ser extract` with SIGKILL at random moments, resume it each time, and compare with a store made in one go.

    python benchmarks/kill_extract.py --root CORPUS --dataset emodb --audio egemaps --kills 20

Every kill takes the whole process group, workers too. After each, what was committed must be readable and match its
check sums, and must not have become less. In the end both stores must be equal, utterance by utterance, bit by bit.
Exit code 1 if not.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from ser.errors import StoreError
from ser.features.stores.store import FeatureStore, shards_folder


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the corpus folder")
    parser.add_argument("--dataset", default="emodb")
    parser.add_argument("--audio", default="egemaps", help="an encoder whose store is called like it")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ser-kill-") as folder:
        return compare(arguments, Path(folder))


def compare(arguments: argparse.Namespace, folder: Path) -> int:
    """Make both stores and compare them; returns the exit code."""
    command = [sys.executable, "-c", "from ser.cli import entry; entry()", "extract", "--quiet"]
    command += ["--dataset", arguments.dataset, "--root", str(arguments.root), "--audio", arguments.audio, "--workspace"]
    whole, killed = (folder / w / "features" / arguments.dataset / f"{arguments.audio}.h5" for w in ("whole", "killed"))
    first, seconds = timed([*command, str(folder / "whole")], shards_folder(whole))
    print(f"in one go: {seconds:.1f} s, the first shard after {first:.1f} s; {os.cpu_count()} cores", flush=True)
    rng = random.Random(arguments.seed)
    hits = kept = 0
    total = sound(whole)
    for number in range(1, arguments.kills + 1):
        # Paced by what is left to do, so that the last kill still meets work.
        share = 1.2 / (arguments.kills - number + 2)
        delay = rng.uniform(0, first + share * (seconds - first) * (1 - kept / total))
        hit = kill_after([*command, str(folder / "killed")], delay)
        hits += hit
        before, kept = kept, sound(killed)
        shards = len(list(shards_folder(killed).glob("*.h5")))
        torn = len(list(killed.parent.rglob("*.tmp")))
        how = "killed" if hit else "had ended"
        print(f"{number:3}: {how} after {delay:5.2f} s; {kept} utterances in {shards} shards, {torn} torn files", flush=True)
        if kept < before:
            print(f"LOST {before - kept} committed utterances")
            return 1
    subprocess.run([*command, str(folder / "killed")], check=True)
    return verdict(whole, killed, hits)


def timed(command: list[str], shards: Path) -> tuple[float, float]:
    """Run to the end; seconds until the first shard, and until the end."""
    begin = time.monotonic()
    first = None
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            time.sleep(0.02)
            if first is None and any(shards.glob("*.h5")):
                first = time.monotonic() - begin
    if process.returncode:
        raise SystemExit(f"ser extract ended with exit code {process.returncode}")
    seconds = time.monotonic() - begin
    return first or seconds, seconds


def kill_after(command: list[str], delay: float) -> bool:
    """Start, wait, SIGKILL the process group; whether it was still running."""
    process = subprocess.Popen(command, start_new_session=True)
    try:
        process.wait(delay)
        return False
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True


def sound(path: Path) -> int:
    """Count the utterances that are committed, all of them compared with their check sums."""
    try:
        with FeatureStore(path) as store:
            damaged = store.verify()
            if damaged:
                raise SystemExit(f"DAMAGED: {damaged}")
            return len(store)
    except StoreError as error:
        if path.exists() or list(shards_folder(path).glob("*.h5")):
            raise SystemExit(f"UNREADABLE: {error}") from None
        return 0


def verdict(whole: Path, killed: Path, hits: int) -> int:
    """Compare utterance by utterance and say so."""
    with FeatureStore(whole) as one, FeatureStore(killed) as many:
        same_order = one.ids == many.ids
        same_sources = one.sources() == many.sources()
        differing = [i for i in one.ids if i not in many or not np.array_equal(one[i], many[i], equal_nan=True)]
        left = [p.name for p in killed.parent.rglob("*") if p.name.endswith(".tmp") or p.suffix == ".shards"]
        equal = same_order and same_sources and not differing and not left
        print(f"{hits} kills; {len(one)} utterances, {len(differing)} differ; same order: {same_order}; "
              f"same sources: {same_sources}; left over: {left or 'nothing'}; {'EQUAL' if equal else 'NOT EQUAL'}")  # fmt: skip
    return 0 if equal else 1


if __name__ == "__main__":
    raise SystemExit(main())
