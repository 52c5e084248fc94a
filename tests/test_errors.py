"""The errors of SPEC part 8 from the command line: exit code, one line that says what to do, and nothing done lost.

Elsewhere: each reason a file can be refused for, in full (extract/test_audio.py), a store killed at random moments
(extract/test_engine_kill.py), damage of each byte of a store (features/test_store.py), missing weights of each encoder
(extract/test_encoders_weights.py).
"""

import csv
import errno
import os
import shutil
import signal
import socket
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from ser.cli import main
from ser.extract.encoders.logmel import LogMel
from ser.extract.encoders.wordpiece import WordPiece
from ser.features.stores.layout import Record
from ser.features.stores.store import FeatureStore, shards_folder, store_files
from ser.features.stores.writer import StoreWriter
from ser.synthesis import make_corpus
from tests.conftest import Copied

RATE = 16000
COUNT = 12  # good files; one chunk of the engine
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 72808\n"
ENCODER = ("--audio", "logmel", "--level", "utterance", "--jobs", "1")
EXTRACT = ("extract", "--dataset", "mine", *ENCODER)
FIT = ("fit", "--dataset", "mine", "--head", "linear", "--scheme", "native", "--protocol", "random", "--jobs", "1")
FIT += ("--stack", "1", "--epochs", "3", "--runs", "3")


@dataclass
class Said:
    """The answer of a command: its exit code, and the lines of both streams."""

    code: int
    out: list[str]
    err: list[str]

    @property
    def message(self) -> str:
        """The one line of a command that could not do its work."""
        assert self.code in (1, 2)
        (line,) = [line for line in self.err if line.startswith("ser: ")]
        assert line == self.err[-1]
        return line


Ser = Callable[..., Said]


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def ser(work: Path, capsys: pytest.CaptureFixture[str]) -> Ser:
    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main([*words, "--workspace", str(work)])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Said(code, said.out.splitlines(), [line for line in said.err.splitlines() if line])

    return run


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Good files, `label/*.wav`."""
    return corpus(tmp_path / "corpus", COUNT)


@pytest.fixture
def store(work: Path) -> Path:
    return work / "features" / "mine" / "logmel.utterance.h5"


def corpus(root: Path, count: int, seconds: float = 0.1) -> Path:
    for number in range(count):
        written(root / ("neutral", "anger")[number % 2] / f"u{number:03d}.wav", tone(number, seconds))
    return root


def tone(number: int = 0, seconds: float = 0.1) -> np.ndarray:
    noise = np.random.default_rng(number).normal(0, 0.01, round(seconds * RATE))
    return (0.4 * np.sin(2 * np.pi * (200 + 30 * number) * np.arange(len(noise)) / RATE) + noise).astype(np.float32)


def written(path: Path, audio: np.ndarray, rate: int = RATE, subtype: str = "FLOAT") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, audio, rate, subtype=subtype)
    return path


def table(ser: Ser, root: Path) -> Said:
    return ser("metadata", "--dataset", "mine", "--format", "folder", "--root", str(root))


def failures(store: Path) -> dict[str, str]:
    """The reason why each utterance failed, by id, as `failures.csv` has it."""
    path = store.with_name(f"{store.stem}.failures.csv")
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {row["utterance_id"]: row["reason"] for row in csv.DictReader(file)}


def readable(path: Path) -> list[str]:
    """Ids of a store, each of which can be read."""
    with FeatureStore(path) as made:
        assert np.isfinite(made.read(made.ids)).all()
        return list(made.ids)


def counted(said: Said, done: int, skipped: int, failed: int) -> bool:
    return f": {done} done, {skipped} skipped, {failed} failed -> " in said.out[-1]


def cut_short(path: Path) -> None:
    written(path, tone(), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:1000])


# What is wrong with the file -> how to make it, and what the message has.
BAD: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "not decodable": (
        lambda p: p.write_bytes(np.random.default_rng(0).bytes(5000)),
        ["cannot be decoded", "expected audio", "found ", "Download or copy"],
    ),
    "cut short": (cut_short, ["is cut short", "expected 3200 bytes", "found 956", "Download or copy"]),
    "empty": (lambda p: p.write_bytes(b""), ["is empty", "found 0 bytes", "Download or copy"]),
    "no samples": (lambda p: written(p, tone()[:0]), ["is empty", "expected samples", "Download or copy"]),
    "silent": (lambda p: written(p, np.full(RATE, 0.1)), ["is silent", "expected a peak of 0.0001", "found 0", "leave it out"]),
    "short": (
        lambda p: written(p, tone()[:399]),
        ["shorter than the encoder's receptive field", "expected 400 samples", "found 399", "a longer piece"],
    ),
    "long": (
        lambda p: written(p, np.ones(180_100), 100),
        ["too long", "expected 1800 s at most", "found 1801 s", "Give start and end"],
    ),
    "not finite": (
        lambda p: written(p, np.append(tone(), [np.nan, np.inf])),
        ["not finite", "found 2 of 1602 samples", "Write the file again"],
    ),
    "pointer": (lambda p: p.write_text(POINTER), ["Git LFS pointer", "found 130 bytes of text", "git lfs pull"]),
    "web page": (
        lambda p: p.write_text("<!DOCTYPE html>\n<html><body>Log in</body></html>"),
        ["a page of HTML", "download the file again"],
    ),
    "text": (
        lambda p: p.write_text("404: not found \u00e9\n" * 40),
        ["is a text file, not audio", "expected audio", "found '404: not found", "Download or copy"],
    ),
    "missing": (Path.unlink, ["is not there", "where the table says"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_listed_and_the_rest_is_done(ser: Ser, root: Path, store: Path, kind: str) -> None:
    table(ser, root)
    path = root / "neutral" / "u002.wav"
    make, words = BAD[kind]
    make(path)
    said = ser(*EXTRACT)
    assert said.code == 3
    assert counted(said, COUNT - 1, 0, 1)
    assert list(failures(store)) == ["neutral/u002"]
    reason = failures(store)["neutral/u002"]
    assert all(word in reason for word in [str(path), *words])
    assert said.err == [
        f"mine logmel.utterance: 1 failed, listed in {store.with_name('logmel.utterance.failures.csv')}; "
        f"the first is neutral/u002: {reason}"
    ]
    assert len(readable(store)) == COUNT - 1
    assert counted(ser(*EXTRACT), 0, COUNT - 1, 1)
    written(path, tone())
    said = ser(*EXTRACT)
    assert (said.code, said.err) == (0, [])
    assert counted(said, 1, COUNT - 1, 0)
    assert failures(store) == {}
    assert len(readable(store)) == COUNT


def test_files_without_a_header_are_told_when_the_table_is_made(ser: Ser, root: Path) -> None:
    for number, kind in enumerate(["not decodable", "empty", "pointer", "web page"]):
        BAD[kind][0](root / "anger" / f"x{number}.wav")
    said = table(ser, root)
    assert said.code == 3
    assert f"metadata/mine.csv: {COUNT + 4} utterances" in said.out[0]
    assert len(said.err) == 1
    for words in (
        f"4 of {COUNT + 4} audio files",
        "not readable as audio 1 (anger/x0.wav)",
        "empty 1",
        "HTML page 1",
        "lfs pull",
    ):
        assert words in said.err[0]


def test_clipped_audio_is_extracted_and_told(ser: Ser, root: Path, store: Path) -> None:
    for name in ("u001", "u003"):
        written(root / "anger" / f"{name}.wav", np.clip(8 * tone(), -1, 1), 22050)  # told though it is resampled
    table(ser, root)
    said = ser(*EXTRACT)
    assert said.code == 0
    assert said.err == [
        "mine logmel.utterance: 2 have clipped audio, with over 0.1% of the samples cut off at full scale, and are "
        "extracted as they are: anger/u001, anger/u003"
    ]
    assert len(readable(store)) == COUNT
    assert ser(*EXTRACT).err == []


def cremad(folder: Path) -> list[Path]:
    make_corpus(folder, seed=0, speakers=2, sentences=1, emotions=("ANG", "NEU"))
    return sorted((folder / "AudioWAV").glob("*.wav"))


needs_smile = pytest.mark.skipif(find_spec("opensmile") is None, reason="opensmile is not installed")


@needs_smile
def test_cremad_cloned_without_lfs(ser: Ser, work: Path, tmp_path: Path) -> None:
    root = tmp_path / "CREMA-D"
    paths = cremad(root)
    whole = {path: path.read_bytes() for path in paths}
    extract = ("extract", "--dataset", "cremad", "--root", str(root), "--audio", "egemaps", "--jobs", "1")
    for path in paths:
        path.write_text(POINTER)
    said = ser(*extract)
    assert said.out == []
    assert said.err == [said.message]
    assert f"all {len(paths)} audio files in {root} are Git LFS pointers; expected audio; found about 130" in said.message
    assert f"cd {root} && git lfs install && git lfs pull" in said.message
    assert not work.exists()
    for path in paths[2:]:
        path.write_bytes(whole[path])
    said = ser(*extract)
    assert said.code == 3
    assert counted(said, len(paths) - 2, 0, 2)
    assert any("2 of 8 audio files cannot be used: Git LFS pointer 2" in line for line in said.err)
    store = work / "features" / "cremad" / "egemaps.h5"
    assert set(failures(store)) == {path.stem for path in paths[:2]}
    assert all("git lfs pull" in reason for reason in failures(store).values())
    assert readable(store) == [path.stem for path in paths[2:]]
    for path in paths[:2]:
        path.write_bytes(whole[path])
    said = ser(*extract)
    assert said.code == 0
    assert counted(said, 2, len(paths) - 2, 0)


def test_a_label_that_the_corpus_does_not_have(ser: Ser, work: Path, tmp_path: Path) -> None:
    paths = cremad(tmp_path / "CREMA-D")
    metadata = ("metadata", "--dataset", "cremad", "--root", str(tmp_path / "CREMA-D"))
    assert ser(*metadata).code == 0
    before = (work / "metadata" / "cremad.csv").read_bytes()
    odd = paths[0].rename(paths[0].with_name("1001_IEO_JOY_XX.wav"))
    said = ser(*metadata).message
    for words in (f"AudioWAV/{odd.name}", "unknown label 'JOY'", "expected one of ANG, DIS", "Correct it, or take"):
        assert words in said
    assert (work / "metadata" / "cremad.csv").read_bytes() == before
    odd.unlink()
    assert ser(*metadata).code == 0


def test_a_copy_in_another_format_gets_an_id_of_its_own(ser: Ser, work: Path, root: Path) -> None:
    shutil.copy(root / "anger" / "u001.wav", root / "anger" / "u001.flac")
    assert table(ser, root).code == 0
    ids = {line.split(",")[0] for line in (work / "metadata" / "mine.csv").read_text().splitlines()}
    assert {"anger/u001.wav", "anger/u001.flac", "anger/u003"} <= ids


def test_ids_that_are_there_twice(ser: Ser, work: Path, root: Path, store: Path) -> None:
    table(ser, root)
    ser(*EXTRACT)
    before = (work / "metadata" / "mine.csv").read_bytes()
    own = root / "list.csv"
    own.write_text("id,file,emotion\na,anger/u001.wav,angry\nb,anger/u003.wav,angry\na,neutral/u000.wav,neutral\n")
    said = ser("metadata", "--dataset", "mine", "--from", str(own)).message
    for words in ("mine: utterance id 'a' occurs 2 times", "expected every id once", "Make the ids unique"):
        assert words in said
    assert (work / "metadata" / "mine.csv").read_bytes() == before
    assert len(readable(store)) == COUNT
    said = ser("metadata", "--dataset", "own", "--from", str(own)).message
    assert "own: utterance id 'a' occurs 2 times" in said
    assert not (work / "metadata" / "own.csv").exists()


@pytest.mark.parametrize("what", ["folder", "files"])
def test_a_table_whose_audio_is_gone(ser: Ser, root: Path, store: Path, what: str) -> None:
    table(ser, root)
    ser(*EXTRACT)
    before = store.read_bytes()
    moved = root.rename(root.with_name("moved"))
    if what == "files":
        root.mkdir()
    said = ser(*EXTRACT)
    assert said.err == [said.message]
    words = (
        (f"there is no folder {root}", "--root")
        if what == "folder"
        else (f"none of {COUNT} utterances", "is not there. Is its corpus where the table says")
    )
    assert all(word in said.message for word in words)
    assert store.read_bytes() == before
    assert ser(*FIT).code == 0  # stage two needs no audio
    said = ser(*EXTRACT, "--root", str(moved))
    assert said.code == 0
    assert counted(said, 0, COUNT, 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder": "mfcc"}, "encoder is mfcc there and logmel here"),
        ({"identity": {"revision": "abc"}}, "revision is abc there and not given here"),
        ({"sample_rate": 8000}, "sample_rate is 8000 there and 16000 here"),
    ],
)
def test_a_store_of_another_encoder_revision_or_rate(
    ser: Ser, root: Path, store: Path, change: dict[str, Any], words: str
) -> None:
    table(ser, root)
    ser(*EXTRACT)
    with FeatureStore(store) as made:
        facts, records = made.facts, [Record(i, made[i], made.sources()[i]) for i in made.ids[:4]]
    change = {**change, "identity": {**facts.identity, **change.get("identity", {})}}
    with StoreWriter(store, replace(facts, **change), overwrite=True) as writer:
        writer.commit(records)
        writer.merge([record.id for record in records])
    before = store.read_bytes()
    said = ser(*EXTRACT)
    assert said.err == [said.message]
    assert f"the feature store {store} was made with other settings: {words}. --overwrite starts" in said.message
    assert "another --workspace keeps both" in said.message
    assert store.read_bytes() == before
    assert counted(ser(*EXTRACT, "--overwrite"), COUNT, 0, 0)


def test_a_truncated_store_is_made_again(ser: Ser, root: Path, store: Path) -> None:
    table(ser, root)
    ser(*EXTRACT)
    os.truncate(store, store.stat().st_size // 2)
    said = ser(*FIT)
    assert said.err == [said.message]
    assert f"the feature store {store} is truncated or damaged; found " in said.message
    assert "the same `ser extract` sets the file aside and makes it again" in said.message
    said = ser(*EXTRACT)
    assert said.code == 0
    assert counted(said, COUNT, 0, 0)
    assert said.err == [f"{store} is damaged: set aside as {store.name}.damaged; its utterances are extracted again"]
    assert ser(*FIT).code == 0


def test_a_truncated_shard_costs_its_own_utterances_only(ser: Ser, tmp_path: Path, store: Path) -> None:
    table(ser, corpus(tmp_path / "corpus", 20))
    for part in ("0/2", "1/2"):
        assert ser(*EXTRACT, "--shard", part).code == 0
    damaged = store_files(store)[1]
    os.truncate(damaged, 1000)
    assert str(damaged) in ser(*FIT).message
    said = ser(*EXTRACT)
    assert said.code == 0
    assert counted(said, 4, 16, 0)
    assert len(readable(store)) == 20


def test_a_damaged_utterance_is_never_trained_on(ser: Ser, root: Path, store: Path) -> None:
    table(ser, root)
    ser(*EXTRACT)
    with FeatureStore(store) as made:
        values = made["anger/u003"].tobytes()
    content = bytearray(store.read_bytes())
    content[content.find(values)] ^= 1
    store.write_bytes(content)
    said = ser(*FIT)
    assert said.err == [said.message]
    for words in (f"the feature store {store} is damaged", "the features of anger/u003", "ser store verify --repair"):
        assert words in said.message
    assert ser("store", "verify", "--repair").code == 3
    assert len(readable(store)) == COUNT - 1
    assert counted(ser(*EXTRACT), 1, COUNT - 1, 0)
    assert ser(*FIT).code == 0


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`full(3)`: the disk has room for three more files."""
    import ser.workspace

    real = ser.workspace.sync

    def after(files: int) -> None:
        left = [files]

        def sync(path: Path) -> None:
            if path.is_file():
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(path)

        monkeypatch.setattr(ser.workspace, "sync", sync)

    return after


def test_a_full_disk_while_extracting(ser: Ser, work: Path, tmp_path: Path, store: Path, full: Callable[[int], None]) -> None:
    root = corpus(tmp_path / "corpus", 40)
    full(0)
    said = table(ser, root).message
    assert f"the disk is full ({work / 'metadata' / 'mine.json'})" in said
    assert list((work / "metadata").iterdir()) == []
    full(10)
    table(ser, root)
    for room, done in ((1, 16), (1, 32), (1, 40)):  # the second and the third shard, the merged file
        full(room)
        said = ser(*EXTRACT).message
        assert f"the disk is full ({store.parent}" in said
        assert "What was done is kept: free some space and give the same command again" in said
        assert len(readable(store)) == done
        assert not list(work.rglob("*.tmp"))
    full(10)
    said = ser(*EXTRACT)
    assert said.code == 0
    assert counted(said, 0, 40, 0)
    assert store_files(store) == [store]


def test_a_full_disk_while_training(ser: Ser, work: Path, root: Path, full: Callable[[int], None]) -> None:
    table(ser, root)
    ser(*EXTRACT)
    full(3)  # a run is two files
    said = ser(*FIT).message
    assert "the disk is full (" in said
    assert "run-001.fold-00.json)" in said
    assert not list(work.rglob("*.tmp"))
    (first,) = work.glob("results/*/*.json")
    assert first.name == "run-000.fold-00.json"
    written_at = first.stat().st_mtime_ns
    assert not list(work.glob("results/*.json"))
    full(100)
    assert ser(*FIT).code == 0
    assert len(list(work.glob("results/*/*.json"))) == 3
    assert first.stat().st_mtime_ns == written_at


@pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")
def test_no_network_and_no_weights(ser: Ser, root: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    table(ser, root)
    both = ("extract", "--dataset", "mine", "--audio", "logmel,wav2vec2-base", *ENCODER[2:])
    said = ser(*both)
    for words in ("files of facebook/wav2vec2-base are not in the cache", "hf download facebook/wav2vec2-base", "--weights"):
        assert words in said.message
    assert len(readable(store)) == COUNT  # the encoder before it is done
    assert counted(ser(*both), 0, COUNT, 0)


def out_of_memory() -> Exception:
    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def test_a_gpu_out_of_memory_for_one_utterance(ser: Ser, root: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(root / "anger" / "u003.wav", tone(seconds=0.5))
    frames = LogMel.frames

    def small(self: LogMel, audio: np.ndarray) -> Any:
        if len(audio) > 4000:
            raise out_of_memory()
        return frames(self, audio)

    monkeypatch.setattr(LogMel, "frames", small)
    table(ser, root)
    said = ser(*EXTRACT)
    assert said.code == 3
    assert counted(said, COUNT - 1, 0, 1)
    assert failures(store)["anger/u003"].startswith("the GPU is out of memory; found CUDA out of memory.")
    assert failures(store)["anger/u003"].endswith("try --device cpu.")
    assert len(readable(store)) == COUNT - 1
    monkeypatch.undo()
    assert counted(ser(*EXTRACT), 1, COUNT - 1, 0)


def test_what_a_failed_try_held_is_given_back_before_the_next(ser: Ser, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, held = LogMel.frames, []

    def first_fails(self: LogMel, audio: np.ndarray) -> Any:
        if not held:
            activations = np.zeros(1000)
            held.append(weakref.ref(activations))
            raise out_of_memory()
        assert held[0]() is None
        return frames(self, audio)

    monkeypatch.setattr(LogMel, "frames", first_fails)
    table(ser, root)
    said = ser(*EXTRACT)
    assert (said.code, said.err, len(held)) == (0, [], 1)


def test_a_batch_that_a_gpu_has_no_memory_for_is_halved(
    ser: Ser, work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tokenizers")
    rows = "".join(f"{'very ' * (n % 3)}good day number {n},neutral\n" for n in range(20))
    (tmp_path / "mine.csv").write_text("text,emotion\n" + rows)
    ser("metadata", "--dataset", "mine", "--from", str(tmp_path / "mine.csv"))
    extract = ("extract", "--dataset", "mine", "--text", "wordpiece")
    assert counted(ser(*extract), 20, 0, 0)
    path = work / "features" / "mine" / "wordpiece.h5"
    with FeatureStore(path) as made:
        whole = made.read(made.ids)
    sizes: list[int] = []
    encode = WordPiece.encode

    def small(self: WordPiece, inputs: Sequence[Any]) -> Any:
        sizes.append(len(inputs))
        if len(inputs) > 5:
            raise out_of_memory()
        return encode(self, inputs)

    monkeypatch.setattr(WordPiece, "encode", small)
    said = ser(*extract, "--overwrite")
    assert said.code == 0
    assert counted(said, 20, 0, 0)
    assert sizes == [20, 10, 5, 5, 10, 5, 5]
    with FeatureStore(path) as made:
        np.testing.assert_array_equal(made.read(made.ids).values, whole.values)


def test_a_gpu_without_the_memory_for_a_model_is_one_line(ser: Ser, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: Any) -> None:
        raise out_of_memory()

    monkeypatch.setattr("ser.extract.encoders.logmel.load", too_large)
    table(ser, root)
    assert "the GPU is out of memory. What was done is kept" in ser(*EXTRACT).message
    assert "--device cpu" in ser(*EXTRACT).message


def interrupted(work: Path, words: Sequence[str], pattern: str) -> None:
    """Start a command in a process of its own, and press Ctrl-C when a file of the pattern is in the workspace."""
    process = Copied.command(work.parent, [*words, "--workspace", str(work)])
    until = time.monotonic() + 240  # of a loaded machine
    while not list(work.glob(pattern)) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    code = process.ended(240)
    out, err = process.said()
    assert code == 130, err
    assert out == ""
    assert err.strip() == "ser: interrupted. What was done is kept; the same command goes on from there."


def test_an_interrupt_while_extracting(ser: Ser, work: Path, tmp_path: Path, store: Path) -> None:
    count = 320
    table(ser, corpus(tmp_path / "corpus", count))
    interrupted(work, EXTRACT, f"features/mine/{shards_folder(store).name}/*.h5")
    done = len(readable(store))
    assert 0 < done < count
    said = ser(*EXTRACT)
    assert said.code == 0
    assert counted(said, count - done, done, 0)
    assert len(readable(store)) == count


def test_an_interrupt_while_training(ser: Ser, work: Path, root: Path) -> None:
    table(ser, root)
    ser(*EXTRACT)
    fit = (*FIT[: FIT.index("--epochs")], "--runs", "6", "--epochs", "150", "--patience", "0")
    interrupted(work, fit, "results/*/*.json")
    done = {path: path.stat().st_mtime_ns for path in work.glob("results/*/*.json")}
    assert 0 < len(done) < 6
    assert not list(work.glob("results/*.json"))
    assert ser(*fit).code == 0
    assert len(list(work.glob("results/*/*.json"))) == 6
    assert {path: path.stat().st_mtime_ns for path in done} == done
