"""What an extraction did, in numbers and in one line."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """What one extraction did.

    Attributes:
        dataset, store: names.
        modality: `audio` or `text`.
        done: utterances extracted now.
        skipped: utterances that were there already.
        failed: utterances that could not be extracted; they are tried again the next time.
        without: utterances of the table that have no audio, or no text.
        failures_path: where the failed ones are listed; None where there are none.
        store_path: the merged file, or the folder of the shards where the work is shared.
        seconds: time it took.
        audio_seconds: length of the audio extracted now; 0 for text.
    """

    dataset: str
    store: str
    modality: str
    done: int
    skipped: int
    failed: int
    without: int
    failures_path: Path | None
    store_path: Path
    seconds: float
    audio_seconds: float

    def line(self) -> str:
        """The summary for people."""
        speed = f"{self.audio_seconds / self.seconds:.0f}x real time" if self.audio_seconds else None
        if speed is None and self.done:
            speed = f"{self.done / self.seconds:.0f} texts/s"
        took = ", ".join([f"{self.seconds:.0f} s", *([speed] if speed else [])])
        counts = f"{self.done} done, {self.skipped} skipped, {self.failed} failed"
        return f"{self.dataset} {self.store}: {counts} -> {self.store_path} ({took})"

    def notes(self) -> list[str]:
        """What else a user should know."""
        found = []
        if self.without:
            found.append(f"{self.dataset}: {self.without} utterances without {self.modality}")
        if self.failures_path:
            found.append(f"{self.dataset} {self.store}: {self.failed} failed, listed in {self.failures_path}")
        return found
