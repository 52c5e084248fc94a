"""Transcripts by speech recognition, kept beside the table: `metadata/NAME.asr-MODEL.jsonl`.

The first line says what made them. Each line below it is of one utterance, with the hash of the audio that it was made of, so
that a recording that has changed is recognised. Of several lines of an utterance the last counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser.errors import CorpusError
from ser.files import JsonObject
from ser.metadata.journal import Journal
from ser.workspace import Workspace

SCHEMA = "ser.transcripts/1"
PREFIX = "asr-"


@dataclass(frozen=True)
class Transcript:
    """The recognised text of an utterance.

    Attributes:
        text: "" where nothing was recognised.
        source: SHA-256 of the audio: the file's bytes and segment.
        language: ISO 639-1, given or detected; "" of a model that knows one language.
    """

    text: str
    source: bytes
    language: str = ""


class Transcripts:
    """The transcripts of one dataset by one model.

    Args:
        path: the file; made when something is first added.
        made_by: `identity` and `provenance` for the header of a new file.

    Attributes:
        found: the header; None where there is no file.
        by_id: utterance id -> transcript.

    Raises:
        CorpusError: the file's first line is damaged.
    """

    def __init__(self, path: Path, made_by: Mapping[str, Any] | None = None) -> None:
        self.path = path
        self._journal = Journal(path, {"schema": SCHEMA, **(made_by or {})})
        self.found = self._journal.found
        if self.found is not None and not isinstance(self.found.get("identity"), dict):
            raise CorpusError(
                f"the transcripts in {path} are damaged, or of another version of ser",
                expected=f"a first line of schema {SCHEMA}",
                action="ser transcribe --overwrite makes them again.",
            )
        self.by_id = dict(filter(None, map(_entry, self._journal.entries)))
        self._journal.entries = []

    @property
    def identity(self) -> JsonObject:
        """The identity of what made them; {} where there is no file."""
        return dict(self.found["identity"]) if self.found else {}

    def add(self, made: Iterable[tuple[str, Transcript]]) -> None:
        """Append transcripts: they are on the disk when this returns."""
        new = dict(made)
        self._journal.append(_values(*item) for item in new.items())
        self.found = self._journal.found
        self.by_id |= new

    def tidy(self, ids: Iterable[str]) -> None:
        """Bring the file into the order of these ids and leave out lines of others, if there is a line too many."""
        kept = {i: self.by_id[i] for i in ids if i in self.by_id}
        if self._journal.lines == len(kept) and list(kept) == list(self.by_id):
            return
        self._journal.header = self._journal.found or self._journal.header
        self._journal.rewrite(_values(*item) for item in kept.items())
        self.by_id = kept


def transcripts_file(workspace: Workspace, dataset: str, source: str) -> Path:
    """Path of the transcripts of a dataset; `source` is `asr-MODEL`."""
    return workspace.table(dataset).with_name(f"{dataset}.{source}.jsonl")


def transcripts_there(workspace: Workspace, dataset: str) -> list[str]:
    """Sources of the transcripts that a dataset has: `asr-whisper-small`, ..."""
    begin = f"{dataset}."
    files = workspace.table(dataset).parent.glob(f"{begin}{PREFIX}*.jsonl")
    return sorted(file.name.removeprefix(begin).removesuffix(".jsonl") for file in files)


def failures_file(workspace: Workspace, dataset: str, source: str) -> Path:
    """Path of the list of utterances that could not be transcribed."""
    return workspace.features(dataset) / f"{source}.failures.csv"


def _values(utterance: str, made: Transcript) -> dict[str, str]:
    return {"utterance_id": utterance, "text": made.text, "language": made.language, "source_sha256": made.source.hex()}


def _entry(values: Any) -> tuple[str, Transcript] | None:
    """A line's content; None for one that is damaged."""
    try:
        made = Transcript(str(values["text"]), bytes.fromhex(values["source_sha256"]), str(values["language"]))
        return str(values["utterance_id"]), made
    except (KeyError, TypeError, ValueError):
        return None
