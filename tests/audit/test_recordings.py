"""`ser audit` on wavs: copies, files that cannot be used, the cache, and the command with what it writes."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr
from jsonschema import Draft202012Validator

from ser.audit import measurements, sharing
from ser.audit.findings import recordings
from ser.audit.leakage import shared_audio
from ser.audit.measurements import MeasurementCache, Sound, measure_audio
from ser.audit.record import AuditRecord, Finding
from ser.audit.split_data import split_table
from ser.cli import main
from ser.errors import CorpusError
from ser.jsonfile import check, json_schema
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.table import Table, load_table, make_table, write_table
from ser.workspace import Workspace

RATE = 16000
EMOTIONS = ("anger", "sadness")


def babble(seed: int, seconds: float = 1.5) -> np.ndarray:
    """Tones that come and go over a little noise: no two seeds are alike."""
    rng = np.random.default_rng(seed)
    axis = np.arange(round(seconds * RATE)) / RATE
    knots = np.linspace(0, seconds, 12)
    parts = [np.interp(axis, knots, rng.uniform(0, 1, 12)) * np.sin(2 * np.pi * hz * axis) for hz in rng.uniform(250, 2500, 12)]
    return np.asarray(0.05 * np.sum(parts, axis=0) + 0.005 * rng.normal(size=len(axis)), dtype=np.float32)


class Corpus:
    """Twelve recordings of six speakers in train, validation and test; a test changes some of them."""

    def __init__(self, folder: Path) -> None:
        self.root, self.space = folder / "wav", Workspace(folder)
        self.root.mkdir()
        self.rows = [
            {
                "utterance_id": f"u{k:02d}",
                "path": f"u{k:02d}.wav",
                "emotion": EMOTIONS[k % 2],
                "speaker": f"s{k // 2}",
                "split": ("train", "train", "train", "train", "validation", "test")[k // 2],
            }
            for k in range(12)
        ]
        for k in range(12):
            self.write(k, babble(k))

    def write(self, k: int, sound: np.ndarray, rate: int = RATE, subtype: str = "PCM_16") -> Path:
        path = self.root / f"u{k:02d}.wav"
        soundfile.write(path, sound, rate, subtype=subtype)
        return path

    def table(self) -> Table:
        write_table(make_table(self.rows, "toy", {"root": str(self.root)}), self.space)
        return load_table("toy", self.space)

    def listen(self) -> Sound:
        heard = measure_audio(self.table(), self.space, jobs=1, quiet=True)
        assert heard is not None
        return heard

    def copies(self) -> dict[str, Finding]:
        table = self.table()
        return {f.kind: f for f in shared_audio(self.listen().copies, split_table(table, None, FoldOptions(), "native"))}

    def recordings(self, **options: float) -> dict[str, Finding]:
        return {f.kind: f for f in recordings(self.listen(), **options)}


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    return Corpus(tmp_path)


def test_a_clean_corpus_has_no_findings(corpus: Corpus) -> None:
    assert corpus.copies() == {}
    assert corpus.recordings() == {}


def test_identical_audio_across_parts(corpus: Corpus) -> None:
    corpus.write(10, babble(0))  # u00 is in training, u10 in test, both anger
    found = corpus.copies()
    assert set(found) == {"identical-across"}
    finding = found["identical-across"]
    assert (finding.severity, finding.count, finding.of) == ("error", 1, 1)
    assert finding.examples == ("u00 = u10",)
    assert finding.detail == "1 of 2 (50.0 %) test utterances"


def test_identical_audio_within_a_part_and_under_two_labels(corpus: Corpus) -> None:
    corpus.write(1, babble(0))
    found = corpus.copies()
    assert set(found) == {"identical-within", "identical-labels"}
    assert (found["identical-within"].severity, found["identical-within"].examples) == ("warning", ("u00 = u01",))
    assert found["identical-labels"].severity == "error"
    assert found["identical-labels"].examples == ("u00 (anger) = u01 (sadness)",)


def test_of_three_that_are_the_same_each_is_told_with_the_first(corpus: Corpus) -> None:
    corpus.write(2, babble(0))
    corpus.write(4, babble(0))
    assert corpus.listen().copies.identical == (("u00", "u02"), ("u00", "u04"))
    assert corpus.listen().copies.near_identical == ()


@pytest.mark.parametrize("change", ["gain", "cut", "rate", "u-law", "flac"])
def test_the_same_recording_otherwise_written(corpus: Corpus, change: str) -> None:
    sound = babble(0)
    if change == "gain":
        corpus.write(10, 0.3 * sound)
    elif change == "cut":
        corpus.write(10, sound[3001:-1234])
    elif change == "rate":
        corpus.write(10, soxr.resample(sound, RATE, 11025), 11025)
    elif change == "u-law":
        corpus.write(10, sound, subtype="ULAW")
    else:  # lossless: the very samples, of 16 bits
        soundfile.write(corpus.root / "u10.flac", soundfile.read(corpus.root / "u00.wav", dtype="int16")[0], RATE)
        corpus.rows[10]["path"] = "u10.flac"
    kind = "identical-across" if change == "flac" else "near-identical-across"
    found = corpus.copies()
    assert set(found) == {kind}
    assert found[kind].examples == ("u00 = u10",)


def test_other_recordings_are_no_copies(corpus: Corpus) -> None:
    """Nor are ones with the same beginning, nor silence, nor one played faster."""
    corpus.write(10, np.concatenate([babble(0)[: RATE // 3], babble(99, 2.0)]))
    corpus.write(2, np.zeros(RATE, dtype=np.float32))
    corpus.write(4, np.zeros(RATE, dtype=np.float32))
    corpus.write(6, soxr.resample(babble(1), RATE, round(RATE / 1.1)))
    copies = corpus.listen().copies
    assert copies.identical == copies.near_identical == ()


def test_many_copies_of_one_recording_are_all_found(corpus: Corpus) -> None:
    for k in range(1, 12):
        corpus.write(k, (0.3 + 0.05 * k) * babble(0))
    pairs = corpus.listen().copies.near_identical
    joined = {"u00"}
    for _ in range(12):
        joined |= {name for pair in pairs if joined & set(pair) for name in pair}
    assert len(joined) == 12


def test_segments_of_one_file(corpus: Corpus) -> None:
    """The same segment twice is identical; another segment of the file is not; one beyond its end is a fault."""
    soundfile.write(corpus.root / "all.wav", np.concatenate([babble(50), babble(51)]), RATE)
    for k, (start, end) in zip((0, 2, 10, 11), ((0, 1.5), (1.5, 3), (0, 1.5), (1.5, 4)), strict=True):
        corpus.rows[k] |= {"path": "all.wav", "start": start, "end": end}
    assert corpus.listen().copies.identical == (("u00", "u10"),)
    found = corpus.recordings()
    assert set(found) == {"audio-segment"}
    assert found["audio-segment"].examples == ("u11",)


def test_each_kind_of_unusable_audio_is_told(corpus: Corpus) -> None:
    (corpus.root / "u00.wav").unlink()
    (corpus.root / "u01.wav").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    (corpus.root / "u02.wav").write_text("<html>404</html>")
    (corpus.root / "u03.wav").write_bytes(b"")
    (corpus.root / "u04.wav").write_bytes((corpus.root / "u05.wav").read_bytes()[:9000])
    (corpus.root / "u05.wav").write_text("no audio at all")
    corpus.write(6, np.full(RATE, np.inf, dtype=np.float32), subtype="FLOAT")
    corpus.rows[7]["channel"] = 4
    corpus.write(8, np.full(RATE, 1e-6, dtype=np.float32), subtype="FLOAT")
    corpus.write(9, babble(9)[:399])
    corpus.write(10, np.clip(40 * babble(10), -1, 1))
    corpus.write(11, babble(11, 3.0))
    found = corpus.recordings(longest=2.0)
    assert {kind: (f.severity, f.examples[0].split()[0]) for kind, f in found.items()} == {
        "audio-missing": ("error", "u00"),
        "audio-pointer": ("error", "u01"),
        "audio-web-page": ("error", "u02"),
        "audio-empty": ("error", "u03"),
        "audio-truncated": ("error", "u04"),
        "audio-undecodable": ("error", "u05"),
        "audio-not-finite": ("error", "u06"),
        "audio-channel": ("error", "u07"),
        "audio-silent": ("error", "u08"),
        "audio-short": ("error", "u09"),
        "audio-clipped": ("warning", "u10"),
        "audio-long": ("warning", "u11"),
    }
    assert all((f.count, f.of) == (1, 12) for f in found.values())
    assert all(f.action for f in found.values())


def test_the_shortest_and_the_longest_that_pass(corpus: Corpus) -> None:
    corpus.write(9, babble(9)[:400])
    corpus.write(11, babble(11, 2.0))
    assert corpus.recordings(longest=2.0) == {}


def test_sample_rates_and_whether_they_tell_the_class(corpus: Corpus) -> None:
    for k in (0, 2, 3, 5):
        corpus.write(k, soxr.resample(babble(k), RATE, 8000), 8000)
    some = corpus.recordings()["sample-rates"]
    assert (some.severity, some.count) == ("info", 2)
    assert some.examples == ("16000 Hz: 8", "8000 Hz: 4")
    for k in range(0, 12, 2):  # all of one class
        corpus.write(k, soxr.resample(babble(k), RATE, 8000), 8000)
    for k in range(1, 12, 2):
        corpus.write(k, babble(k))
    telling = corpus.recordings()["sample-rates"]
    assert (telling.severity, telling.detail) == ("warning", "association with the emotion: Cramer's V 1.00")


def test_audio_that_is_gone_or_was_never_there(corpus: Corpus) -> None:
    table = make_table([{"utterance_id": "a", "text": "a", "emotion": "anger"}], "text")
    assert measure_audio(table, corpus.space) is None
    moved = make_table(corpus.rows, "toy", {"root": str(corpus.root / "gone")})
    with pytest.raises(CorpusError, match="leave the audio out with --no-audio"):
        measure_audio(moved, corpus.space)


# --- the cache ---


def test_a_second_audit_decodes_only_what_has_changed(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    assert corpus.listen().fresh == 12
    first = corpus.listen()
    assert first.fresh == 0
    corpus.write(3, babble(77))
    (corpus.root / "u04.wav").unlink()
    changed = corpus.listen()
    assert changed.fresh == 1
    assert changed.measured[3].sha256 != first.measured[3].sha256
    assert changed.measured[4].fault == "missing"
    for k in (0, 5):
        one, other = first.measured[k], changed.measured[k]
        assert (one.sha256, one.seconds, one.peak, one.clipped) == (other.sha256, other.seconds, other.peak, other.clipped)
        np.testing.assert_array_equal(one.words, other.words)


def test_a_killed_audit_goes_on_where_it_was(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "BATCH", 4)
    real, seen = measurements.measure, []

    def measure(path: Path, *segment: Any) -> Any:
        seen.append(path.name)
        if len(seen) == 10:
            raise KeyboardInterrupt
        return real(path, *segment)

    monkeypatch.setattr(measurements, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        corpus.listen()
    file = corpus.space.root / "metadata" / "toy.audio.jsonl"
    file.write_bytes(file.read_bytes() + b'["u08.wav", null, null')  # the line that it was writing
    assert corpus.listen().fresh == 4
    assert corpus.listen().fresh == 0
    assert seen == [f"u{k:02d}.wav" for k in [*range(10), *range(8, 12)]]


def test_a_cache_of_another_version_or_of_nonsense_is_made_anew(corpus: Corpus) -> None:
    corpus.listen()
    file = corpus.space.root / "metadata" / "toy.audio.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    odd = [json.dumps([*line[:4], 1e400, *line[5:]]).encode() for line in map(json.loads, lines[1:4])]
    odd += [json.dumps([[line[0]], *line[1:]]).encode() for line in map(json.loads, lines[4:])]
    for content in (
        b'{"schema": "ser.audio/0"}\n' + file.read_bytes(),
        b"\xff\xfe\n\n",
        b"",
        b"\n".join([lines[0].strip(), *odd, b""]),
    ):
        file.write_bytes(content)
        assert corpus.listen().fresh == 12
        assert corpus.listen().fresh == 0


def test_stale_lines_do_not_pile_up(corpus: Corpus) -> None:
    file = corpus.space.root / "metadata" / "toy.audio.jsonl"
    for turn in range(4):
        for k in range(12):
            corpus.write(k, babble(100 * turn + k))
        assert corpus.listen().fresh == 12
    assert len(file.read_bytes().splitlines()) <= 2 * 12 + 1
    assert len(MeasurementCache(file)._known) == 12


def test_workers_measure_the_same(corpus: Corpus) -> None:
    for k in range(12, 70):
        soundfile.write(corpus.root / f"u{k:02d}.wav", babble(k, 0.3), RATE)
        corpus.rows.append({**corpus.rows[0], "utterance_id": f"u{k:02d}", "path": f"u{k:02d}.wav"})
    table = corpus.table()
    many = measure_audio(table, corpus.space, jobs=2, quiet=True)
    (corpus.space.root / "metadata" / "toy.audio.jsonl").unlink()
    one = measure_audio(table, corpus.space, jobs=1, quiet=True)
    assert many is not None
    assert one is not None
    assert many.fresh == one.fresh == 70
    assert [m.sha256 for m in many.measured] == [m.sha256 for m in one.measured]


# --- the command ---


def ser(corpus: Corpus, *words: str) -> int:
    return main(["audit", "--workspace", str(corpus.space.root), "--dataset", "toy", *words])


def test_the_command_writes_json_and_text_and_says_by_its_code_what_it_found(
    corpus: Corpus, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus.write(10, babble(0))
    table = corpus.table()
    assert ser(corpus) == 3
    text = capsys.readouterr().out
    assert "Errors (1)" in text
    assert "pairs of identical audio, in test and in training or validation" in text
    assert "e.g. u00 = u10" in text
    assert "What to do: Leave one of each out of the table" in text
    file = corpus.space.root / "results" / "audit-toy-official.json"
    record = json.loads(file.read_text())
    check(record, AuditRecord, "it")
    assert record["counts"]["error"] == 1
    assert record["audio"]["copies"]["identical"] == [["u00", "u10"]]
    assert record["table"]["sha256"] == table.sha256
    assert record["folds"][0]["test_classes"] == {"anger": 1, "sadness": 1}
    assert ser(corpus, "--format", "json") == 3
    said = json.loads(capsys.readouterr().out)
    assert {k: v for k, v in said.items() if k != "time"} == {k: v for k, v in record.items() if k != "time"}
    assert str(corpus.root) not in json.dumps({k: v for k, v in record.items() if k != "command"})


def test_the_schema_is_draft_2020_12() -> None:
    Draft202012Validator.check_schema(json_schema(AuditRecord))


def test_records_carry_what_the_audit_found(corpus: Corpus) -> None:
    corpus.write(10, babble(0))
    corpus.table()
    assert ser(corpus, "--quiet") == 3
    table = load_table("toy", corpus.space)
    assert table.copies is not None
    assert table.copies.identical == (("u00", "u10"),)
    made = split_table(table, None, FoldOptions(), "native")
    verdict = sharing.judge_folds("toy", "official", made.frame, made.folds, table.copies)
    assert any(s.startswith("identical audio: 1 test utterances") for s in sharing.sharing_stamps(verdict, {}, {"audio"}))
    corpus.rows[0]["emotion"] = "fear"  # another table: the audit said nothing of it
    assert corpus.table().copies is None


def test_a_clean_audit_ends_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"utterance_id": f"u{k}", "text": f"t {k}", "emotion": EMOTIONS[k % 2], "speaker": f"s{k // 40}"} for k in range(240)
    ]
    space = Workspace(tmp_path)
    write_table(make_table(rows, "toy"), space)
    words = ["audit", "--workspace", str(tmp_path), "--dataset", "toy", "--protocol", "speaker"]
    assert main([*words, "--folds", "3", "--stratified", "--write-folds", str(tmp_path / "f.csv")]) == 0
    assert "No errors, no warnings" in capsys.readouterr().out
    assert main(["audit", "--workspace", str(tmp_path), "--dataset", "toy", "--fold-file", str(tmp_path / "f.csv")]) == 0
    results = tmp_path / "results"
    first, second = (json.loads((results / f"audit-toy-{p}.json").read_text()) for p in ("speaker", "file"))
    assert first["folds"] == second["folds"]
    assert main(["results", "list", "--workspace", str(tmp_path)]) == 0  # audits are not results, nor damaged ones


def test_the_command_makes_the_table_where_there_is_none(tmp_path: Path) -> None:
    root = tmp_path / "r"
    for actor in ("01", "02"):
        (root / f"Actor_{actor}").mkdir(parents=True)
        for emotion in ("03", "05"):
            file = root / f"Actor_{actor}" / f"03-01-{emotion}-01-01-01-{actor}.wav"
            soundfile.write(file, babble(int(actor + emotion)), RATE)
    words = ["audit", "--workspace", str(tmp_path), "--dataset", "ravdess", "--root", str(root), "--quiet"]
    assert main([*words, "--protocol", "speaker"]) == 1  # two speakers are too few for that, but the table is there
    assert (tmp_path / "metadata" / "ravdess.csv").is_file()
    assert not (tmp_path / "metadata" / "ravdess.audio.jsonl").exists()  # refused before the audio is read


def test_without_audio_nothing_is_decoded(corpus: Corpus) -> None:
    corpus.write(10, babble(0))
    corpus.table()
    assert ser(corpus, "--no-audio", "--quiet") == 3  # two test utterances are too few
    assert not (corpus.space.root / "metadata" / "toy.audio.jsonl").exists()
    assert json.loads((corpus.space.root / "results" / "audit-toy-official.json").read_text())["audio"] is None


# --- real corpora ---


def test_ravdess_has_one_identical_pair_and_no_other_copies(real: Path, tmp_path: Path) -> None:
    """Actors 2 and 7: the pair, and the recordings that come nearest to each other without being copies."""
    from ser.metadata.corpora import ravdess

    rows = [r for r in ravdess.parse(real / "ravdess") if r["path"].split("/")[0] in ("Actor_02", "Actor_07")]
    table = make_table(rows, "ravdess", {"root": str(real / "ravdess")})
    clock = time.process_time()
    heard = measure_audio(table, Workspace(tmp_path), jobs=1, quiet=True)
    assert heard is not None
    assert heard.copies.identical == (("03-01-03-01-02-01-07", "03-01-03-01-02-02-07"),)
    assert heard.copies.near_identical == ()
    assert time.process_time() - clock < 60
    assert not [f for f in recordings(heard) if f.severity == "error"]
