"""Sources of the text of an utterance: the corpus, speech recognition, or sentences made up from its label.

A source goes by a name: `corpus` (the table's own text), `asr-MODEL` (transcripts of `ser transcribe`), `simulated` or
`simulated-SEED` (`ser.metadata.texts.simulated`). Features of another text than the table's are a store of their own, named
after the encoder and the source: `bert+asr-whisper-small`, `bert+simulated.frame`.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from ser.errors import ConfigError, CorpusError
from ser.files import JsonObject
from ser.metadata.schema import TEXT_SOURCES
from ser.metadata.table import Table
from ser.metadata.texts import simulated
from ser.metadata.texts.transcripts import PREFIX, Transcripts, failures_file, transcripts_file, transcripts_there
from ser.workspace import Workspace

CORPUS, ASR, SIMULATED = TEXT_SOURCES
LEAKS = "simulated text leaks the label"  # how the stamp of such results begins


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
