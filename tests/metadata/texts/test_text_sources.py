"""Text sources: a journal that survives kills, transcripts beside the table, sentences made up from labels, and stamps."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ser.errors import ConfigError, CorpusError
from ser.metadata.journal import Journal
from ser.metadata.labels import CANONICAL
from ser.metadata.table import load_table, make_table
from ser.metadata.texts import simulated, text_sources
from ser.metadata.texts.text_sources import Transcript, Transcripts, transcripts_file, transcripts_there
from ser.workspace import Workspace

HEADER = {"schema": "test/1", "by": "me"}


def test_a_journal_goes_on_behind_a_line_that_was_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "below" / "j.jsonl"
    journal = Journal(file, HEADER)
    assert (journal.found, journal.entries, journal.lines) == (None, [], 0)
    assert not file.exists()
    journal.append([{"a": 1}, ["ä", "\u2028", "\r\n"]])
    journal.append([])
    journal.append([3])
    whole = file.read_bytes()
    for cut in range(len(whole), whole.index(b"\n"), -1):
        file.write_bytes(whole[:cut])
        again = Journal(file, {**HEADER, "by": "another"})
        assert file.read_bytes() == whole[:cut]  # reading changes nothing
        assert again.found == HEADER
        kept = again.entries
        assert kept == [{"a": 1}, ["ä", "\u2028", "\r\n"], 3][: len(kept)]
        again.append(["new"])
        assert Journal(file, HEADER).entries == [*kept, "new"]
        assert Journal(file, HEADER).lines == again.lines
    assert len(kept) == 0


def test_a_journal_of_another_schema_is_made_anew_by_the_first_line(tmp_path: Path) -> None:
    file = tmp_path / "j.jsonl"
    for content in (b"", b"nonsense\n1\n", b'{"schema": "test/0"}\n1\n', b"[1]\n"):
        file.write_bytes(content)
        journal = Journal(file, HEADER)
        assert (journal.found, journal.entries) == ({}, [])
        assert file.read_bytes() == content
        journal.append([2])
        assert Journal(file, HEADER).entries == [2]


def some_transcripts(space: Workspace, source: str = "asr-toy", **more: Any) -> Transcripts:
    made = Transcripts(
        transcripts_file(space, "d", source), {"identity": {"model": "me/toy", "language": "en"}, "provenance": {}}
    )
    made.add([("u0", Transcript("Hello there.", b"\1" * 32, "en")), ("u1", Transcript("", b"\2" * 32))])
    return made


def frame() -> pd.DataFrame:
    rows = [
        {"utterance_id": f"u{k}", "path": f"{k}.wav", "emotion": e, "label": e, "text": "as read"}
        for k, e in enumerate(("anger", "sadness"))
    ]
    return make_table([*rows, {"utterance_id": "u2", "label": "x", "emotion": "", "text": "no audio"}], "d").frame


def test_transcripts_are_kept_and_put_in_order(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    made = some_transcripts(space)
    made.add([("u0", Transcript("Other words.", b"\3" * 32, "de"))])
    read = Transcripts(made.path)
    assert read.by_id == made.by_id
    assert read.by_id["u0"] == Transcript("Other words.", b"\3" * 32, "de")
    assert read.identity == {"model": "me/toy", "language": "en"}
    assert len(made.path.read_text().splitlines()) == 4
    read.tidy(["u1", "u0", "u7"])
    assert [json.loads(line).get("utterance_id") for line in made.path.read_text().splitlines()] == [None, "u1", "u0"]
    assert Transcripts(made.path).identity == read.identity
    before = made.path.stat().st_mtime_ns
    Transcripts(made.path).tidy(["u1", "u0"])
    assert made.path.stat().st_mtime_ns == before
    made.path.write_text("{}\n")
    with pytest.raises(CorpusError, match=r"damaged.*--overwrite"):
        Transcripts(made.path)


def test_text_of_transcripts_takes_the_place_of_the_corpus_s(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    some_transcripts(space)
    told = text_sources.with_text(frame(), "asr-toy", "d", space)
    assert list(told["text"]) == ["Hello there.", "", ""]
    assert list(told["text_source"]) == ["asr", "", ""]
    assert text_sources.with_text(frame(), "corpus", "d", space).equals(frame())
    assert text_sources.identity("asr-toy", "d", space) == {"name": "asr-toy", "model": "me/toy"}
    three = frame().assign(utterance_id=["u0", "u1", "u5"], path="x.wav")
    with pytest.raises(CorpusError, match=r"1 utterances of d have no transcript in asr-toy, first u5.*ser transcribe"):
        text_sources.with_text(three, "asr-toy", "d", space)
    listed = space.features("d") / "asr-toy.failures.csv"
    listed.parent.mkdir(parents=True)
    listed.write_text("utterance_id,path,reason\nu5,x.wav,silent\n")
    assert list(text_sources.with_text(three, "asr-toy", "d", space)["text"]) == ["Hello there.", "", ""]


def test_names_of_sources(tmp_path: Path) -> None:
    space = Workspace(tmp_path)
    for name in ("corpus", "simulated", "simulated-12"):
        assert text_sources.resolve(name, "d", space) == name
    for name in ("asr", "asr-toy"):
        with pytest.raises(CorpusError, match=r"no transcripts.*ser transcribe --dataset d"):
            text_sources.resolve(name, "d", space)
    for name in ("simulated-0", "simulated-x", "whisper", ""):
        with pytest.raises(ConfigError, match="no text source"):
            text_sources.resolve(name, "d", space)
    some_transcripts(space)
    assert text_sources.resolve("asr", "d", space) == text_sources.resolve("asr-toy", "d", space) == "asr-toy"
    some_transcripts(space, "asr-other")
    assert transcripts_there(space, "d") == ["asr-other", "asr-toy"]
    assert space.datasets() == []  # a table's sidecar is not a table
    with pytest.raises(ConfigError, match="several models: asr-other, asr-toy"):
        text_sources.resolve("asr", "d", space)


def test_simulated_sentences_depend_on_emotion_id_and_seed_alone() -> None:
    ids = [f"u{k}" for k in range(200)]
    assert set(simulated.TEMPLATES) == set(CANONICAL)
    seen: dict[str, set[str]] = {}
    for emotion in CANONICAL:
        seen[emotion] = {simulated.sentence(emotion, i) for i in ids}
        assert len(seen[emotion]) > 20
        assert not any("{" in text or text[0].islower() for text in seen[emotion])
    assert len(set.union(*seen.values())) == sum(map(len, seen.values()))  # no sentence is of two emotions
    assert [simulated.sentence("fear", i) for i in ids] != [simulated.sentence("fear", i, 1) for i in ids]
    assert simulated.sentence("", "u1") == ""
    script = "from ser.metadata.texts.simulated import sentence; print([sentence('fear', f'u{k}', 3) for k in range(200)])"
    there = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()
    assert there == str([simulated.sentence("fear", i, 3) for i in ids])


def test_simulated_text_of_a_table(tmp_path: Path) -> None:
    told = text_sources.with_text(frame(), "simulated-3", "d", Workspace(tmp_path))
    assert list(told["text"]) == [simulated.sentence("anger", "u0", 3), simulated.sentence("sadness", "u1", 3), ""]
    assert list(told["text_source"]) == ["simulated", "simulated", ""]
    assert text_sources.identity("simulated-3", "d", Workspace(tmp_path))["name"] == "simulated-3"


@pytest.mark.parametrize(
    ("source", "of_table", "stamp"),
    [
        ("corpus", "corpus", None),
        ("simulated", "corpus", "simulated text leaks the label: the sentences of s were"),
        ("simulated-2", "asr", "simulated text leaks the label: the sentences of s were"),
        ("corpus", "simulated", "simulated text leaks the label: the sentences of s were"),
        ("asr-toy", "corpus", "recognised text: s is of transcripts by me/toy, not"),
        ("corpus", "asr", "recognised text: s is of a table"),
    ],
)
def test_stamps(source: str, of_table: str, stamp: str | None) -> None:
    rows = frame().assign(text_source=of_table)
    found = text_sources.text_stamps({"s": source}, rows, {"s": {"text_source": {"name": source, "model": "me/toy"}}})
    assert [text.startswith(str(stamp)) for text in found] == ([] if stamp is None else [True])
    assert text_sources.is_simulated(source, rows) == (stamp is not None and stamp.startswith(text_sources.LEAKS))


def test_how_transcripts_are_gone_on_with_is_how_they_were_begun(tmp_path: Path, maker_type: Any) -> None:
    space = maker_type(tmp_path).space
    maker_type(tmp_path).table("toy", speakers=1, each=1)
    identity = {"model": "models/tiny-speaking", "language": "de", "decoding": {"beams": 3, "temperature": 0}}
    made = Transcripts(transcripts_file(space, "toy", "asr-tiny-speaking"), {"identity": identity, "provenance": {}})
    made.add([("toy-s0-anger-0", Transcript("hallo", bytes(32)))])
    wanted = "ser transcribe --dataset toy --model models/tiny-speaking --language de --beams 3"
    with pytest.raises(CorpusError, match=wanted):
        text_sources.with_text(load_table("toy", space).frame, "asr-tiny-speaking", "toy", space)
