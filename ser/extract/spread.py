"""An extraction in parts that run elsewhere: one on each GPU of this machine, on a cluster of Dask or Ray, or under SLURM.

Each part is an `ExtractionRequest` with a shard of the table. When all have ended, the request without a shard merges them, and
tries again what failed.
"""

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ser.accelerator import ALL_GPUS, gpus
from ser.errors import AudioError, ConfigError
from ser.extract.request import Extraction, ExtractionRequest, checked, extract_dataset
from ser.extract.store_update import ExtractionReport
from ser.progress import progress
from ser.workers import slurm
from ser.workers.engine import Engine, as_finished, refuse_all_gpus
from ser.workers.sbatch import Allocation

WHOLE_ON = "cuda"  # where what failed in a part is tried again
HERE, SLURM = "here", "slurm"
SHARDS = 8  # by default


@dataclass(frozen=True)
class Placement:
    """The place where the parts of an extraction run.

    Attributes:
        backend: `here`, the processes of this machine; `dask`, `ray` or `slurm`.
        address: of a cluster of Dask or Ray.
        shards: the number of parts; None is one for each GPU, or `SHARDS`.
        at_once: of SLURM, the parts that run at the same time; None leaves it to SLURM.
        partition: of SLURM; None is its default.
        time: of SLURM, the limit for one part: minutes, or `[DAYS-]HOURS:MINUTES:SECONDS`.
        sbatch: of SLURM, further options of `sbatch`, such as `account=speech`.
    """

    backend: str = HERE
    address: str | None = None
    shards: int | None = None
    at_once: int | None = None
    partition: str | None = None
    time: str | None = None
    sbatch: tuple[str, ...] = ()

    @property
    def parts(self) -> int:
        """The number of parts under a backend."""
        return self.shards or SHARDS

    def allocation(self, cores: int) -> Allocation:
        """The resources of SLURM for a part."""
        return Allocation("ser-extract", cores, self.time, self.partition, self.sbatch, self.at_once)


class ExtractionPart(Extraction, slurm.Again):
    """One part of an extraction, or the whole of it, as a call that another process can make."""

    def __call__(self) -> list[ExtractionReport]:
        """Extract, and report each store. A part whose utterances all fail is not an error: the whole is tried at the end."""
        say: Callable[[str], None] = (lambda _: None) if self.quiet else _print
        try:
            return list(extract_dataset(self, say, {}))
        except AudioError:
            if self.request.shard[1] == 1:
                raise
            return []


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def check(placement: Placement, request: ExtractionRequest) -> None:
    """Refuse options that contradict each other.

    Raises:
        ConfigError: the first of them.
    """
    spread = placement.backend != HERE
    for name in ("shards", "address", "at_once", "partition", "time", "sbatch"):
        option = f"--{name.replace('_', '-')}"
        wanted = {"shards": spread, "address": placement.backend in ("dask", "ray")}.get(name, placement.backend == SLURM)
        if getattr(placement, name) and not wanted:
            where = "--backend slurm, dask or ray" if name == "shards" else "--backend slurm"
            where = "--backend dask or ray" if name == "address" else where
            raise ConfigError(f"{option} is for {where}", found=f"--backend {placement.backend}", option=name)
    if not spread and request.device != ALL_GPUS:
        return
    place = f"--backend {placement.backend}" if spread else f"--device {ALL_GPUS}"
    if request.shard[1] > 1:
        raise ConfigError(f"{place} makes the parts itself", found="--shard", action="Leave out --shard.")
    if request.overwrite:
        raise ConfigError(
            f"{place} and --overwrite: each part would remove what the others have written",
            action="Remove the stores' files first, and leave out --overwrite.",
        )
    if spread:
        refuse_all_gpus(request.device, placement.backend)


def parts(whole: ExtractionPart, count: int, devices: Sequence[str] = ()) -> list[ExtractionPart]:
    """The parts of an extraction; part K computes on the K-th device, where there are several."""
    found = []
    for number in range(count):
        request = replace(whole.request, shard=(number, count), verify=0)
        if devices:
            request = replace(request, device=devices[number], jobs=max(1, whole.request.jobs // count))
        found.append(replace(whole, request=request))
    return found


def spread(whole: ExtractionPart, placement: Placement, say: Callable[[str], None]) -> list[ExtractionReport]:
    """Extract in parts, and merge.

    Raises:
        ConfigError: an option is wrong, or there is no GPU, no cluster, no package.
        SerError: a part died; what was done is kept.
    """
    table, _, wanted, views = checked(whole, say)
    label = f"{whole.dataset} {', '.join(name for _, name in wanted)}"
    if placement.backend == SLURM:
        with_audio = int((table.frame["path"] != "").sum()) if table.has("path") else 0
        sizes = {"audio": with_audio * (1 + len(views)), "text": len(table.frame)}
        most = sum(sizes[modality] for modality, _ in wanted)
        return _on_slurm(whole, placement, label, most, say)
    if placement.backend == HERE:
        devices = gpus()
        whole = replace(whole, request=replace(whole.request, device=WHOLE_ON))
        units, engine = parts(replace(whole, quiet=True), len(devices), devices), Engine(len(devices))
    else:
        units = parts(replace(whole, request=replace(whole.request, jobs=1), quiet=True), placement.parts)
        engine = Engine(backend=placement.backend, address=placement.address, workspace=whole.workspace.root)
    ended = as_finished(ExtractionPart.__call__, [(unit,) for unit in units], engine, label)
    for _ in progress(ended, len(units), label, "parts", whole.quiet):
        pass
    return list(extract_dataset(whole, say, {}))


def _on_slurm(whole: ExtractionPart, placement: Placement, label: str, most: int, say: slurm.Say) -> list[ExtractionReport]:
    """Extract in jobs of SLURM.

    Args:
        most: the number of utterances, of all encoders and views, for the line of progress.
    """
    root = whole.workspace.root.resolve()
    quiet, whole = whole.quiet, replace(whole, quiet=False, workspace=replace(whole.workspace, root=root))
    key = repr((Path.cwd(), whole.dataset, whole.root, replace(whole.request, jobs=1)))  # their paths may be relative
    folder = root / slurm.FOLDER / f"{whole.dataset}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    stores = whole.workspace.features(whole.dataset)
    seen = dict.fromkeys(_shards(stores), 0)  # what was there before does not count

    def made() -> str:
        _count_rows(stores, seen)
        return f"{sum(seen.values())} of at most {most} utterances are made"

    work = slurm.Work(parts(whole, placement.parts), whole, folder, label, "the job that merges")
    return slurm.run(work, placement.allocation(whole.request.jobs), quiet, say, made)


def _shards(stores: Path) -> list[Path]:
    return list(stores.glob("*.shards/[0-9]*.h5"))


def _count_rows(stores: Path, known: dict[Path, int]) -> None:
    """Count the utterances in each shard of a dataset's stores; those that are known are not opened again."""
    import h5py

    for path in _shards(stores):
        if path not in known:
            try:
                with h5py.File(path, "r", locking=False) as file:
                    known[path] = len(file["utt_id"])
            except OSError:  # merged meanwhile
                continue
