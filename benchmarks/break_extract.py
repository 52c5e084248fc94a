"""Break `ser extract` and its stores in every way at hand, go on each time, and compare with a store made undisturbed.

    python benchmarks/break_extract.py --root CORPUS --dataset emodb --audio logmel

A full disk while extracting and while merging, a folder that became read-only, truncated shards and merged files, a flipped
byte in each. After each: what was committed can be read and matches its check sums, but for what was damaged, which is named;
the message is one line; going on extracts just what is missing; and the end equals the undisturbed store, bit by bit. Exit
code 1 if not. Full disks and read-only folders need the right to mount (root, on Linux); without it they are left out, and
that is said. Kills at random moments: kill_extract.py.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser.features.stores.store import FeatureStore, shards_folder, store_files

SER = [sys.executable, "-c", "from ser.cli import entry; entry()"]
DONE = re.compile(r"(\d+) done, (\d+) skipped, (\d+) failed")
PROGRESS = re.compile(r"\d+/\d+ utt")


class Broken(Exception):
    """The error of an expectation that does not hold."""


def expect(holds: bool, what: str) -> None:
    if not holds:
        raise Broken(what)


@dataclass
class Said:
    code: int
    out: str
    errors: list[str]


@dataclass
class Trial:
    """One workspace that is disturbed, beside the undisturbed store."""

    arguments: argparse.Namespace
    space: Path
    whole: Path

    @property
    def store(self) -> Path:
        return Path(self.space, self.whole.relative_to(self.whole.parents[2]))

    def ser(self, *words: str) -> Said:
        ran = subprocess.run([*SER, *words, "--workspace", str(self.space)], capture_output=True, text=True)
        return Said(ran.returncode, ran.stdout, [s for s in ran.stderr.splitlines() if s and not PROGRESS.search(s)])

    def extract(self, *more: str) -> Said:
        given = self.arguments
        return self.ser("extract", "--dataset", given.dataset, "--root", str(given.root), "--audio", given.audio, *more)

    def begins(self, *more: str) -> None:
        """Extract all, or a part, undisturbed."""
        said = self.extract(*more)
        expect(said.code == 0, f"undisturbed, yet: {' / '.join(said.errors)}")

    def fails(self, said: Said, *words: str) -> None:
        """The command ended with one line that says these words."""
        print(f"    {' / '.join(said.errors)}")
        expect(said.code not in (0, 3), f"exit code {said.code}")
        expect(len(said.errors) == 1, "not one line")
        expect(all(word in said.errors[0] for word in words), f"the line does not say {words}")

    def sound(self) -> set[str]:
        """Ids that can be read and match their check sums."""
        if not store_files(self.store):
            return set()
        with FeatureStore(self.store) as store, FeatureStore(self.whole) as whole:
            there = set(store.ids) - set(store.verify())
            expect(all(np.array_equal(store[i], whole[i], equal_nan=True) for i in there), "other values")
            return there

    def goes_on(self, kept: set[str]) -> None:
        """The same command extracts what is missing, no more, and the end is as if nothing had been."""
        with FeatureStore(self.whole) as whole:
            missing = len(whole) - len(kept)
        said = self.extract()
        for line in said.errors:
            print(f"    {line}")
        found = DONE.search(said.out)
        expect(said.code == 0 and found is not None, f"exit code {said.code}: {said.out}")
        assert found is not None
        print(f"    then: {found[0]}")
        expect([int(n) for n in found.groups()] == [missing, len(kept), 0], f"{missing} were missing")
        with FeatureStore(self.store) as store, FeatureStore(self.whole) as whole:
            expect(store_files(self.store) == [self.store] and not shards_folder(self.store).exists(), "not merged")
            expect(store.ids == whole.ids and store.sources() == whole.sources(), "other utterances")
            expect(not list(self.space.rglob("*.tmp")), "torn files are left")
        expect(len(self.sound()) == len(kept) + missing, "damage is left")


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Callable[[str], None]]:
    """A small disk of its own; gives a function that changes its options."""

    def mount(options: str, *source: str) -> None:
        subprocess.run(["mount", "-o", options, *source, str(folder)], check=True, capture_output=True)

    folder.mkdir()
    mount(options, "-t", "tmpfs", "tmpfs")
    try:
        yield lambda changed: mount(f"remount,{changed}")
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def full_disk(trial: Trial, share: float) -> None:
    """A disk that has room for this share of the store."""
    size = int(trial.whole.stat().st_size * share)
    with mounted(trial.space, f"size={size}") as remount:
        shutil.copytree(trial.whole.parents[2] / "metadata", trial.space / "metadata")
        trial.fails(trial.extract(), "the disk is full", str(trial.store.parent), "What was done is kept")
        kept = trial.sound()
        again = trial.extract()
        trial.fails(again, "the disk is full")
        expect(trial.sound() >= kept, "committed utterances are lost")
        kept = trial.sound()
        print(f"    {len(kept)} utterances kept on a disk of {size / 1e6:.0f} MB")
        expect(bool(kept), "nothing was kept")
        remount(f"size={4 * trial.whole.stat().st_size + 2**24}")
        trial.goes_on(kept)


def read_only(trial: Trial) -> None:
    with mounted(trial.space, f"size={4 * trial.whole.stat().st_size + 2**24}") as remount:
        trial.begins("--shard", "0/2")
        kept = trial.sound()
        remount("ro")
        trial.fails(trial.extract(), str(trial.space))
        expect(trial.sound() == kept, "committed utterances are lost")
        expect(trial.ser("store", "verify").code == 0, "a read-only store is not read")
        remount("rw")
        trial.goes_on(kept)


def cut(path: Path, share: float) -> None:
    with path.open("r+b") as file:
        file.truncate(int(path.stat().st_size * share))


def truncated(trial: Trial, merged: bool) -> None:
    """Half of the values are left; and of another shard, not even its index."""
    trial.begins(*([] if merged else ["--shard", "0/2"]))
    before = trial.sound()
    files = store_files(trial.store)
    sizes = {file: file.stat().st_size for file in files}
    largest = max(files, key=lambda file: sizes[file])
    with FeatureStore(trial.store) as store:
        hit = {i for i in store.ids if store.file_of(i) in (largest, files[0])}
    cut(largest, 0.5)
    if files[0] != largest:
        cut(files[0], 0.001)
    said = trial.ser("store", "verify")
    print(f"    {said.out.strip()}")
    expect(said.code == 3 and str(largest) in said.out, "the file is not named")
    said = trial.ser("store", "verify", "--repair")
    for line in said.errors:
        print(f"    {line}")
    expect(len(said.errors) == len({largest, files[0]}), "not one line per file")
    kept = trial.sound()
    expect(before - hit < kept < before, "utterances beyond the damage are lost")
    trial.goes_on(kept)


def flipped(trial: Trial, merged: bool) -> None:
    """One bit of one utterance."""
    trial.begins(*([] if merged else ["--shard", "0/2"]))
    before = trial.sound()
    with FeatureStore(trial.store) as store:
        name = store.ids[len(store) // 2]
        path, values = store.file_of(name), store[name].tobytes()
    content = bytearray(path.read_bytes())
    content[content.find(values) + len(values) // 2] ^= 1
    path.write_bytes(content)
    said = trial.ser("store", "verify")
    print(f"    {said.out.strip()}")
    expect(said.code == 3 and f"1 utterance damaged: {name}." in said.out, "the utterance is not named")
    said = trial.ser("store", "verify", "--repair")
    for line in said.errors:
        print(f"    {line}")
    expect(trial.sound() == before - {name}, "more than the damage is lost")
    trial.goes_on(before - {name})


TRIALS: dict[str, tuple[bool, Callable[[Trial], None]]] = {
    "the disk is full after half of the store": (True, lambda trial: full_disk(trial, 0.5)),
    "the disk is full while the shards are merged": (True, lambda trial: full_disk(trial, 1.4)),
    "the folder is read-only": (True, read_only),
    "two shards are truncated": (False, lambda trial: truncated(trial, merged=False)),
    "the merged file is truncated": (False, lambda trial: truncated(trial, merged=True)),
    "a bit of a shard is flipped": (False, lambda trial: flipped(trial, merged=False)),
    "a bit of the merged file is flipped": (False, lambda trial: flipped(trial, merged=True)),
}


def can_mount(folder: Path) -> bool:
    try:
        with mounted(folder, "size=65536"):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="the corpus folder")
    parser.add_argument("--dataset", default="emodb")
    parser.add_argument("--audio", default="logmel", help="an encoder whose store is called like it")
    arguments = parser.parse_args()
    failed = left_out = 0
    with tempfile.TemporaryDirectory(prefix="ser-break-") as folder:
        root = Path(folder)
        whole = root / "whole" / "features" / arguments.dataset / f"{arguments.audio}.h5"
        first = Trial(arguments, root / "whole", whole).extract()
        print(first.out + "\n".join(first.errors), flush=True)
        if first.code:
            return 1
        mounts = can_mount(root / "probe")
        for number, (what, (mounting, trial)) in enumerate(TRIALS.items()):
            print(f"\n{what}", flush=True)
            if mounting and not mounts:
                print("    left out: this user may not mount a small disk", flush=True)
                left_out += 1
                continue
            space = root / f"trial{number}"
            try:
                trial(Trial(arguments, space, whole))
                print("    EQUAL", flush=True)
            except Broken as error:
                failed += 1
                print(f"    BROKEN: {error}", flush=True)
            shutil.rmtree(space, ignore_errors=True)
    print(f"\n{len(TRIALS) - failed - left_out} of {len(TRIALS)} as they should be, {left_out} left out")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
