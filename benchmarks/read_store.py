"""Read a corpus's features into one array: the feature store, other ways to keep them, and the bounds of the machine.

    python benchmarks/read_store.py                 # 3 GB of memory, 12 GB on disk
    python benchmarks/read_store.py --scale 0.02    # a try

Three cases, sizes of a real corpus, values random: 7,442 x 1,792 pooled vectors in float32; the frames of 7,442 utterances,
930,000 x 768, in float32; and the same frames kept in float16 and read as float32. Each way reads all utterances in table
order (but where it says otherwise) into one block of memory of its own. Every reading is a process of its own; the ways take
turns, round after round; the medians of the rounds are printed. The page cache is warm: the files are read just before, and
readings that went to the disk all the same are counted. The libraries are loaded before the clock starts, and as much memory
as a way may need has been touched and freed by another process. Memory is the peak of the process above what it had before
the clock started.
"""

import argparse
import json
import os
import pickle
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ser.features.stores import bulk_reading
from ser.features.stores.layout import Facts, Record
from ser.features.stores.store import FeatureStore
from ser.features.stores.writer import StoreWriter

COUNT, POOLED, FRAMES, LENGTH = 7442, 1792, 768, 125
CASES = {
    "pooled": f"{{n}} x {POOLED} pooled, float32",
    "frames": f"{{n}} utterances, {{rows}} x {FRAMES} frames, float32",
    "half": f"{{n}} utterances, {{rows}} x {FRAMES} frames, kept in float16, read as float32",
}


def values_of(array: Any) -> NDArray[Any]:
    return np.asarray(getattr(array, "values", array))


def read_store(folder: Path) -> NDArray[Any]:
    with FeatureStore(folder / "store.h5") as store:
        return values_of(store.read(store.ids, np.float32))


def read_shuffled(folder: Path) -> NDArray[Any]:
    with FeatureStore(folder / "store.h5") as store:
        ids = [store.ids[n] for n in np.random.default_rng(0).permutation(len(store))]
        return values_of(store.read(ids, np.float32))


def read_unchecked(folder: Path) -> NDArray[Any]:
    bulk_reading.zlib = SimpleNamespace(crc32=lambda part: 0)  # type: ignore
    with FeatureStore(folder / "store.h5") as store:
        return store._read(store.ids)[0].values


def read_datasets(folder: Path) -> NDArray[Any]:
    with h5py.File(folder / "datasets.h5") as file:
        return np.concatenate([file[name][()] for name in names(folder)])


def read_npy(folder: Path) -> NDArray[Any]:
    return np.concatenate([np.load(folder / "npy" / f"{name}.npy") for name in names(folder)])


def read_pickle(folder: Path) -> NDArray[Any]:
    with (folder / "features.pickle").open("rb") as file:
        features = pickle.load(file)
    return np.concatenate([features[name] for name in names(folder)])


def read_bytes(folder: Path) -> NDArray[Any]:
    with (folder / "store.h5").open("rb", buffering=0) as file:
        content = np.empty(os.fstat(file.fileno()).st_size, np.uint8)
        begin = 0
        while begin < len(content):
            begin += file.readinto(content[begin : begin + 2**22].data)
    return content


def copy_fresh(source: NDArray[Any]) -> NDArray[Any]:
    copied = np.empty_like(source)
    np.copyto(copied, source)
    return copied


WAYS: dict[str, tuple[str, Callable[..., NDArray[Any]]]] = {
    "store": ("`FeatureStore.read`, check sums compared", read_store),
    "shuffled": ("the same, utterances in another order", read_shuffled),
    "unchecked": ("the same, check sums not compared (not offered)", read_unchecked),
    "datasets": ("HDF5, a dataset an utterance", read_datasets),
    "npy": ("`.npy`, one file per utterance", read_npy),
    "pickle": ("pickle of a dictionary", read_pickle),
    "bytes": ("bound: `readinto` of the store's file, fresh memory", read_bytes),
    "copy": ("bound: `np.copyto` of as many bytes, fresh memory", copy_fresh),
    "again": ("bound: `np.copyto`, memory in use before", copy_fresh),
}


FILES = {"datasets": "datasets.h5", "npy": "npy", "pickle": "features.pickle"}


def warm(path: Path) -> None:
    """Read a file, or those of a folder, into the page cache."""
    for file in sorted(path.iterdir()) if path.is_dir() else [path]:
        with file.open("rb", buffering=0) as opened:
            while opened.read(2**22):
                pass


def names(folder: Path) -> list[str]:
    return list(json.loads((folder / "names.json").read_text()))


def child(way: str, folder: Path, check: bool) -> None:
    """Read once and print what it took."""
    with h5py.File(folder / "store.h5"):
        pass  # HDF5 is loaded
    source: Any = folder
    target = None
    if way in ("copy", "again"):
        source = np.ones(json.loads((folder / "bytes.json").read_text()), np.uint8)
        target = np.zeros_like(source) + np.uint8(1) if way == "again" else None
    before, begin = usage(), time.perf_counter()
    if target is None:
        read = WAYS[way][1](source)
    else:
        np.copyto(target, source)
        read = target
    seconds, after = time.perf_counter() - begin, usage()
    found: dict[str, Any] = {"seconds": seconds, "peak": after[0] - before[0], "disk": after[1] - before[1]}
    found["crc"] = zlib.crc32(np.ascontiguousarray(read).reshape(-1).view(np.uint8).data) if check else None
    print(json.dumps(found))


def usage() -> tuple[int, int]:
    """Peak of the process so far in bytes, and blocks read from the disk."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status")
    if not status.exists():
        return used.ru_maxrss, used.ru_inblock
    # Of this process alone; that of getrusage begins with the peak of the process that started it.
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(peak.split()[1]) * 1024, used.ru_inblock


def features(case: str, count: int) -> Iterator[tuple[str, NDArray[Any]]]:
    rng = np.random.default_rng(0)
    for number in range(count):
        rows = 1 if case == "pooled" else int(rng.integers(LENGTH - 65, LENGTH + 66))
        values = rng.standard_normal((rows, POOLED if case == "pooled" else FRAMES), dtype=np.float32)
        yield f"utterance-{number:06d}", values.astype(np.float16) if case == "half" else values


def make(case: str, count: int, folder: Path, ways: list[str]) -> tuple[int, int]:
    """Write the features in every way; rows there are, and bytes that are read."""
    level, dim = ("utterance", POOLED) if case == "pooled" else ("frame", FRAMES)
    ids, rows, batch = [], 0, list[Record]()
    (folder / "npy").mkdir()
    kept: dict[str, NDArray[Any]] = {}
    with (
        StoreWriter(folder / "store.h5", Facts("random", "audio", level, dim, {"plugin": "random"})) as writer,
        h5py.File(folder / "datasets.h5", "w") as file,
    ):
        for name, values in features(case, count):
            ids.append(name)
            rows += len(values)
            batch.append(Record(name, values[0] if case == "pooled" else values, bytes(32)))
            if len(batch) == 256:
                writer.commit(batch)
                batch = []
            if "datasets" in ways:
                file[name] = values
            if "npy" in ways:
                np.save(folder / "npy" / f"{name}.npy", values)
            if "pickle" in ways:
                kept[name] = values
        writer.commit(batch)
        writer.merge(ids)
    if "pickle" in ways:
        with (folder / "features.pickle").open("wb") as file:
            pickle.dump(kept, file, protocol=5)
    (folder / "names.json").write_text(json.dumps(ids))
    (folder / "bytes.json").write_text(json.dumps(rows * dim * 4))
    return rows, rows * dim * 4


def measure(case: str, count: int, rounds: int, root: Path) -> None:
    """Print the table of one case."""
    folder = root / case
    folder.mkdir()
    ways = [way for way in WAYS if case != "half" or way in ("store", "shuffled", "bytes", "copy", "again")]
    rows, size = make(case, count, folder, ways)
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in ways:
            np.ones(2 * size + 2**26, np.uint8)  # touched and freed: a virtual machine's first touch of memory is slow
            warm(folder / FILES.get(way, "store.h5"))
            command = [sys.executable, __file__, "--child", way, "--folder", str(folder)]
            command += ["--check"] if number == 0 else []
            found[way].append(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
    shutil.rmtree(folder)
    same = {found[way][0]["crc"] for way in ways if way in ("store", "unchecked", "datasets", "npy", "pickle")}
    assert len(same) == 1, "the ways have read different values"
    print(f"\n{CASES[case].format(n=f'{count:,}', rows=f'{rows:,}')}: {size / 1e6:,.0f} MB\n")
    print("| way | seconds | lowest to highest | to the store | GB/s | peak memory, results |\n| --- " + "| ---: " * 5 + "|")
    ours = statistics.median(r["seconds"] for r in found["store"])
    for way in ways:
        seconds = [r["seconds"] for r in found[way]]
        middle = statistics.median(seconds)
        peak = statistics.median(r["peak"] for r in found[way]) / size
        print(
            f"| {WAYS[way][0]} | {middle:.3f} | {min(seconds):.3f} to {max(seconds):.3f} | {middle / ours:.2f} | "
            f"{size / middle / 1e9:.2f} | {'-' if way == 'again' else f'{peak:.2f}'} |"
        )
    disk = sum(r["disk"] * 512 > size / 100 for way in ways for r in found[way])
    print(f"\n{rounds} rounds; over 1 % was read from the disk in {disk} of {rounds * len(ways)} readings.", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of utterances")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--folder", type=Path, help="for the files, which are removed in the end")
    parser.add_argument("--child", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.folder, given.check)
        return
    print(f"{os.cpu_count()} cores, NumPy {np.__version__}, HDF5 {h5py.version.hdf5_version}, zlib {zlib.ZLIB_RUNTIME_VERSION}")
    with tempfile.TemporaryDirectory(prefix="ser-read-", dir=given.folder) as folder:
        for case in given.cases:
            measure(case, max(1, round(COUNT * given.scale)), given.rounds, Path(folder))


if __name__ == "__main__":
    main()
