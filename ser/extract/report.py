"""The report of an extraction, in numbers and in one line."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ser.audio.reading import CLIPPED_SHARE
from ser.errors import AudioError, SerError
from ser.features.stores.failures import Failure
from ser.metadata.parsing import few

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
