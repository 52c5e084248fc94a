"""Sources of the text of an utterance: the corpus, speech recognition, or sentences made up from its label.

A source goes by a name: `corpus` (the table's own text), `asr-MODEL` (transcripts of `ser transcribe`), `simulated` or
`simulated-SEED` (`ser.metadata.texts.simulated`). Features of another text than the table's are a store of their own, named
after the encoder and the source: `bert+asr-whisper-small`, `bert+simulated.frame`.

Transcripts are kept beside the table: `metadata/NAME.asr-MODEL.jsonl`. The first line says what made them. Each line below it
is of one utterance, with the hash of the audio that it was made of, so that a recording that has changed is recognised. Of
several lines of an utterance the last counts.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from ser.errors import ConfigError, CorpusError
from ser.files import JsonObject
from ser.metadata.journal import Journal
from ser.metadata.schema import TEXT_SOURCES
from ser.metadata.table import Table
from ser.metadata.texts import simulated
from ser.workspace import Workspace

CORPUS, ASR, SIMULATED = TEXT_SOURCES
LEAKS = "simulated text leaks the label"  # how the stamp of such results begins
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


def kind_of_source(source: str) -> str:
    """The kind of a source, one of `TEXT_SOURCES`.

    >>> kind_of_source("asr-whisper-small"), kind_of_source("simulated-3"), kind_of_source("corpus")
    ('asr', 'simulated', 'corpus')
    """
    return source.partition("-")[0]


def resolve(asked: str, dataset: str, workspace: Workspace) -> str:
    """Resolve a source to its full name: `asr` is that of the only model.

    Raises:
        ConfigError: no such source, or several models' transcripts and none named.
    """
    if asked == CORPUS or re.fullmatch(rf"{SIMULATED}(-[1-9]\d*)?", asked):
        return asked
    there = transcripts_there(workspace, dataset)
    if asked in there:
        return asked
    if asked == ASR and len(there) == 1:
        return there[0]
    if asked == ASR and there:
        raise ConfigError(f"{dataset} has transcripts of several models: {', '.join(there)}", action="Name one of them.")
    if asked == ASR or asked.startswith(PREFIX):
        raise _no_transcripts(dataset, asked)
    raise ConfigError(f"there is no text source {asked!r}", expected="corpus, asr, asr-MODEL, simulated, simulated-SEED")


def identity(source: str, dataset: str, workspace: Workspace) -> JsonObject:
    """The identity of a source, as far as two corpora can have it in common: without the language of one of them."""
    made = simulated.identity()
    if kind_of_source(source) == ASR:
        made = _transcripts(source, dataset, workspace).identity
        made.pop("language", None)
    return {"name": source, **made}


def with_text(frame: pd.DataFrame, source: str, dataset: str, workspace: Workspace) -> pd.DataFrame:
    """Give the rows of a table the text of a source; "" where it has none.

    Raises:
        CorpusError: there are no transcripts, or not of all that have audio.
    """
    if source == CORPUS:
        return frame
    if kind_of_source(source) == ASR:
        by_id = _transcripts(source, dataset, workspace).by_id
        _refuse_gap(frame, set(by_id), source, dataset, workspace)
        texts = [by_id[i].text if i in by_id else "" for i in frame["utterance_id"]]
    else:
        seed = int(source.partition("-")[2] or 0)
        pairs = zip(frame["emotion"], frame["utterance_id"], strict=True)
        texts = [simulated.sentence(emotion, utterance, seed) for emotion, utterance in pairs]
    replaced: pd.DataFrame = frame.assign(text=texts, text_source=[kind_of_source(source) if text else "" for text in texts])
    return replaced


def table_with_text(table: Table, source: str, workspace: Workspace) -> Table:
    """Give a table the text of a source, as `with_text`."""
    return replace(table, frame=with_text(table.frame, source, table.dataset, workspace))


def source_of(identity: Mapping[str, Any]) -> str:
    """The source of the text that a store's features were made of, from the store's identity."""
    return str(identity.get("text_source", {}).get("name", CORPUS))


def is_simulated(source: str, frame: pd.DataFrame) -> bool:
    """True for a source whose text gives labels away: simulated sentences, also those that a table came with."""
    return kind_of_source(source) == SIMULATED or (source == CORPUS and bool((frame["text_source"] == SIMULATED).any()))


def text_stamps(sources: Mapping[str, str], frame: pd.DataFrame, identities: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences that results of text must carry.

    Args:
        sources: store of text -> its source.
        frame: the table's rows.
        identities: of the stores.
    """
    found = []
    for store, source in sources.items():
        if is_simulated(source, frame):
            found.append(f"{LEAKS}: the sentences of {store} were written for each emotion and chosen by the true label")
        elif kind_of_source(source) == ASR:
            model = identities[store].get("text_source", {}).get("model", source)
            found.append(f"recognised text: {store} is of transcripts by {model}, not of the corpus's text")
        elif (frame["text_source"] == ASR).any():
            found.append(f"recognised text: {store} is of a table whose text is by speech recognition")
    return found


def _transcripts(source: str, dataset: str, workspace: Workspace) -> Transcripts:
    made = Transcripts(transcripts_file(workspace, dataset, source))
    if made.found is None:
        raise _no_transcripts(dataset, source)
    return made


def _refuse_gap(frame: pd.DataFrame, known: set[str], source: str, dataset: str, workspace: Workspace) -> None:
    """Refuse transcripts that are not finished: an utterance that is neither transcribed nor listed as failed is missing."""
    listed = failures_file(workspace, dataset, source)
    if listed.is_file():
        known = known | set(pd.read_csv(listed, dtype=str, keep_default_na=False)["utterance_id"])
    lacking = frame.loc[(frame["path"] != "") & ~frame["utterance_id"].isin(known), "utterance_id"].tolist()
    if lacking:
        raise CorpusError(
            f"{len(lacking)} utterances of {dataset} have no transcript in {source}, first {lacking[0]}",
            action=f"Go on with: {_command(dataset, source, _transcripts(source, dataset, workspace).identity)}",
        )


def _no_transcripts(dataset: str, source: str) -> CorpusError:
    return CorpusError(f"{dataset} has no transcripts {source}", action=f"Make them with: {_command(dataset, source)}")


def _command(dataset: str, source: str, identity: Mapping[str, Any] | None = None) -> str:
    """The command that makes transcripts, with the options that their header has."""
    asked = identity or {}
    model = str(asked.get("model", source.removeprefix(PREFIX)))
    language, beams = asked.get("language", "table"), asked.get("decoding", {}).get("beams", 1)
    words = [f"ser transcribe --dataset {dataset}"]
    words += [f"--model {model}"] if model != ASR else []
    words += [f"--language {language}"] if language != "table" else []
    words += [f"--beams {beams}"] if beams != 1 else []
    return " ".join(words)
