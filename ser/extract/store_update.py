"""The update of one encoder's store: the utterances that are missing or out of date, and the outcome."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.audio.reading import CLIPPED_SHARE
from ser.errors import AudioError, EncoderError, SerError, StoreError
from ser.extract import utterances as gather
from ser.extract.encoder import Encoder
from ser.extract.encoding import Decoded, Outcome
from ser.extract.encoding import gather as collect
from ser.extract.plan import plan
from ser.extract.utterances import Item
from ser.features.stores.failures import Failure, write_failures
from ser.features.stores.layout import Facts
from ser.features.stores.names import JOINT, split_name
from ser.features.stores.store import FeatureStore, shards_folder
from ser.features.stores.writer import StoreWriter
from ser.metadata.parsing import few
from ser.metadata.table import Table
from ser.workspace import Workspace

EXACT = 1e-5  # relative difference up to which float32 features count as the same


@dataclass(frozen=True)
class ExtractionReport:
    """The outcome of one extraction.

    Attributes:
        dataset, store: names.
        modality: `audio` or `text`.
        done: utterances extracted now.
        skipped: utterances that were there already.
        failed: utterances that could not be extracted; they are tried again the next time.
        without: utterances of the table that have no audio, or no text, or no emotion that a view is made for.
        first: the first that failed, and why; empty where none did.
        clipped: ids of utterances extracted now whose audio is clipped.
        failures_path: the list of the failed ones; None where there are none.
        store_path: the merged file, or the folder of the shards where the work is shared.
        seconds: time it took.
        audio_seconds: length of the audio extracted now; 0 for text.
        verified: the number of utterances that were encoded again alone, and the largest relative difference; None if none.
        exact: true for features that are computed and stored in float32: others do not claim to be exact.
        lacking: the thing that those `without` do not have.
    """

    dataset: str
    store: str
    modality: str
    done: int
    skipped: int
    failed: int
    without: int
    first: str
    clipped: list[str]
    failures_path: Path | None
    store_path: Path
    seconds: float
    audio_seconds: float
    verified: tuple[int, float] | None = None
    exact: bool = True
    lacking: str = ""

    def line(self) -> str:
        """The summary for people."""
        speed = f"{self.audio_seconds / self.seconds:.0f}x real time" if self.audio_seconds else None
        if speed is None and self.done:
            speed = f"{self.done / self.seconds:.0f} texts/s"
        took = ", ".join([f"{self.seconds:.0f} s", *([speed] if speed else [])])
        counts = f"{self.done} done, {self.skipped} skipped, {self.failed} failed"
        checked = ""
        if self.verified is not None:
            count, largest = self.verified
            checked = f"; {count} encoded again alone: largest relative difference {largest:.1e}"
        return f"{self.dataset} {self.store}: {counts} -> {self.store_path} ({took}){checked}"

    @property
    def differs(self) -> bool:
        """True where features that claim to be exact differed when they were encoded again."""
        return self.verified is not None and self.exact and self.verified[1] > EXACT

    def notes(self) -> list[str]:
        """Further remarks for the user."""
        found = []
        if self.without:
            found.append(f"{self.dataset}: {self.without} utterances without {self.lacking or self.modality}")
        if self.failures_path:
            listed = f"{self.failed} failed, listed in {self.failures_path}"
            found.append(f"{self.dataset} {self.store}: {listed}; the first is {self.first}")
        if self.differs:
            found.append(
                f"{self.dataset} {self.store}: features differ by more than {EXACT:g} from those of single utterances. "
                "Was the store made on another device, or with other versions? `ser store info --verbose` tells."
            )
        if self.clipped:
            found.append(
                f"{self.dataset} {self.store}: {len(self.clipped)} have clipped audio, with over {CLIPPED_SHARE:.1%} of the "
                f"samples cut off at full scale, and are extracted as they are: {few(self.clipped, 3)}"
            )
        return found


def all_failed(what: str, failures: Sequence[Failure], path: Path) -> SerError:
    """The error where no utterance could be extracted: the commonest reason, and the number of utterances that share it."""
    kind, count = Counter(f.kind for f in failures).most_common(1)[0]
    first = next(f for f in failures if f.kind == kind)
    alike = "all of them alike" if count == len(failures) else f"{count} of them alike"
    return AudioError(f"{what}: none of {len(failures)} utterances can be used, {alike} (listed in {path}): {first.reason}")


class StoreUpdate:
    """One encoder's store of one table, while it is brought up to date.

    Args:
        items: the utterances that have its modality, in the order of the table.
        sources: SHA-256 of each item's source, of those that can be read.
        failures: the others.

    Attributes:
        done: ids extracted in this run.
        skipped: the number of those that were there already.
        without: utterances of the table that do not have its modality; those of another shard have it.
        clipped: ids of those whose audio is clipped.
        verified: by `--verify`: the number of utterances, and the largest relative difference.
    """

    def __init__(
        self,
        table: Table,
        encoder: Encoder,
        writer: StoreWriter,
        items: Sequence[Item],
        sources: dict[str, bytes],
        failures: Sequence[Failure],
    ) -> None:
        self.table, self.encoder, self.writer, self.items = table, encoder, writer, items
        self.sources, self.failures = sources, list(failures)
        self.without = len(table.frame) - len(items)
        self.done: set[str] = set()
        self.clipped: set[str] = set()
        self.skipped = self.samples = 0
        self.verified: tuple[int, float] | None = None

    def wanted(self, say: Callable[[str], None]) -> set[str]:
        """The ids that are missing, or whose source has changed."""
        failed = {f.id for f in self.failures}
        decided = plan([i.id for i in self.items if i.id not in failed], self.sources, self.writer.stored)
        self.skipped = len(set(decided.done) - self.done)
        if decided.stale:
            count = f"{len(decided.stale)} utterances have changed since they were extracted"
            say(f"{self.encoder.name}: {count}: extracted again")
        return {*decided.todo, *decided.stale}

    def take(self, outcome: Outcome) -> int:
        """Commit the results of a chunk; the number of its utterances."""
        try:
            self.writer.commit(outcome.records)
        except KeyboardInterrupt:
            self.writer.commit(outcome.records)
            raise
        self.done.update(record.id for record in outcome.records)
        self.samples += sum(record.n_samples for record in outcome.records)
        self.failures += outcome.failures
        self.clipped.update(outcome.clipped)
        return len(outcome.records) + len(outcome.failures)

    @property
    def committed(self) -> bool:
        """True where there are shards to merge."""
        return shards_folder(self.writer.path).exists()

    def report(self, workspace: Workspace, shard: tuple[int, int], seconds: float) -> ExtractionReport:
        """Report the outcome; the failures are written beside the store.

        Raises:
            AudioError: no utterance could be extracted.
        """
        table, encoder, sliced = self.table, self.encoder, shard[1] > 1
        classes = encoder.view.classes if encoder.view is not None else ()
        suffix = f"-{shard[0]}of{shard[1]}" if sliced else ""
        listed = workspace.features(table.dataset) / f"{encoder.name}.failures{suffix}.csv"
        write_failures(listed, self.failures)
        if not sliced:  # those of the shards have been tried again
            for other in listed.parent.glob(f"{encoder.name}.failures-*of*.csv"):
                other.unlink(missing_ok=True)
        if self.failures and not self.done and not self.skipped:
            raise all_failed(f"{table.dataset} {encoder.name}", self.failures, listed)
        path = self.writer.path
        return ExtractionReport(
            dataset=table.dataset,
            store=encoder.name + (f" [shard {shard[0]}/{shard[1]}]" if sliced else ""),
            modality=encoder.modality,
            done=len(self.done),
            skipped=self.skipped,
            failed=len(self.failures),
            without=self.without,
            lacking=", ".join(classes[:-1]) + f" or {classes[-1]}" if classes else encoder.modality,
            first=f"{self.failures[0].id}: {self.failures[0].reason}" if self.failures else "",
            clipped=sorted(self.clipped),
            failures_path=listed if self.failures else None,
            store_path=shards_folder(path) if sliced else path,
            seconds=max(seconds, 1e-9),
            audio_seconds=self.samples / encoder.sample_rate if encoder.sample_rate else 0.0,
            verified=self.verified,
            exact=encoder.identity.get("dtype", "float32") == encoder.store_dtype == "float32",
        )


def prepare(table: Table, encoder: Encoder, path: Path, overwrite: bool) -> None:
    """Prepare an encoder that is made from the corpus: from its texts, or from the assets of an existing store."""
    if encoder.modality == "text":
        encoder.prepare(gather.training_texts(table), {} if overwrite else _assets(path))


def facts(encoder: Encoder) -> Facts:
    """The facts of the encoder's store, which hold for all its utterances."""
    identity = encoder.identity
    if encoder.store_dtype != "float32":
        identity = {**identity, "stored_as": encoder.store_dtype}
    return Facts(
        encoder=split_name(encoder.name)[0].partition(".")[0].partition(JOINT)[0],
        modality=encoder.modality,
        level=encoder.level,
        dim=encoder.dim,
        identity=identity,
        sample_rate=encoder.sample_rate,
        vocabulary=encoder.vocabulary,
        assets=encoder.assets,
    )


def _assets(path: Path) -> dict[str, str]:
    """The assets of the existing store; {} where there is none that can be read."""
    try:
        with FeatureStore(path) as store:
            return dict(store.assets)
    except StoreError:
        return {}


def verify(update: StoreUpdate, count: int) -> None:
    """Encode some utterances again, each alone, and note the largest difference in the store's provenance.

    The difference is ||stored - alone|| / ||alone||, of vectors: at frame level the largest over an utterance's frames.
    The utterances are chosen by a hash of their ids, the shortest and the longest first: always the same ones.

    Args:
        count: the number of utterances; all where there are fewer.

    Raises:
        EncoderError: an utterance that is stored cannot be encoded now, or gives another number of frames.
    """
    encoder = update.encoder
    with FeatureStore(update.writer.path) as store:
        there = [item for item in update.items if item.id in store]
        by_hash = sorted(there, key=lambda item: hashlib.sha256(item.id.encode()).digest())
        sizes = dict(zip(store.ids, store.index(store.ids).n_samples, strict=True))
        by_size = sorted(there, key=lambda item: (sizes[item.id], len(item.text)))
        chosen = list(dict.fromkeys([*by_size[:1], *by_size[-1:], *by_hash]))[:count]
        largest = 0.0
        for item in chosen:
            outcome = Outcome()
            inputs = collect(encoder, [item], Decoded(), outcome)
            if not inputs:
                raise AudioError(f"{item.id} is stored, and cannot be used now: {outcome.failures[0].reason}")
            alone = encoder.finish(encoder.encode([inputs[0][1]])[0], item.id, item.emotion)
            largest = max(largest, difference(store[item.id], alone, item.id))
    update.verified = len(chosen), largest
    update.writer.provenance["verified"] = {"utterances": len(chosen), "largest_difference": largest, "against": "alone"}


def difference(stored: NDArray[Any], alone: NDArray[Any], name: str) -> float:
    """Largest relative difference of the vectors of two arrays `(..., dim)`.

    Raises:
        EncoderError: they have different shapes.
    """
    if stored.shape != alone.shape:
        raise EncoderError(f"{name}: another shape when encoded again", expected=stored.shape, found=alone.shape)
    left, right = stored.astype(np.float64), alone.astype(np.float64)
    distance = np.linalg.norm(left - right, axis=-1)
    return float((distance / np.maximum(np.linalg.norm(right, axis=-1), 1e-30)).max(initial=0.0))
