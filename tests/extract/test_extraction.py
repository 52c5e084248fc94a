"""Extraction in this process: what is done, skipped, failed, changed and gone; and what an interrupt leaves."""

import csv
import errno
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest
import soundfile

from ser.errors import AudioError, ConfigError, CorpusError, EncoderError, StoreError
from ser.extract import utterances
from ser.extract.extraction import extract
from ser.extract.store_update import ExtractionReport
from ser.features.stores.store import FeatureStore, shards_folder, store_files
from ser.features.stores.writer import StoreWriter
from ser.metadata.table import Table, make_table
from ser.workspace import Workspace

COUNT = 50  # more than two chunks


@pytest.fixture(scope="module")
def toy() -> ModuleType:
    import importlib.util

    path = Path(__file__).with_name("toy_encoder.py")
    spec = importlib.util.spec_from_file_location("toy_encoder", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def root(tmp_path: Path, toy: ModuleType) -> Path:
    toy.make_corpus(tmp_path / "corpus", COUNT)
    return tmp_path / "corpus"


@pytest.fixture
def space(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "work")


Run = Callable[..., ExtractionReport]


@pytest.fixture
def run(toy: ModuleType, root: Path, space: Workspace) -> Run:
    def go(encoder: Any = None, table: Table | None = None, **options: Any) -> ExtractionReport:
        return extract(table or toy.table_of(root), encoder or toy.Moments(), space, quiet=True, **options)[0]

    return go


def expected(root: Path, name: str) -> Any:
    audio, _ = soundfile.read(root / f"{name}.wav", dtype="float32")
    return np.array([len(audio), audio.mean(dtype=np.float64), audio.std(dtype=np.float64)], np.float32)


def reasons(report: ExtractionReport) -> dict[str, str]:
    assert report.failures_path is not None
    with report.failures_path.open(newline="") as file:
        return {row["utterance_id"]: row["reason"] for row in csv.DictReader(file)}


def counts(report: ExtractionReport) -> tuple[int, int, int]:
    return report.done, report.skipped, report.failed


def test_features_are_those_of_the_audio(run: Run, root: Path, space: Workspace) -> None:
    report = run()
    assert counts(report) == (COUNT, 0, 0)
    assert report.line().startswith(f"toy moments: {COUNT} done, 0 skipped, 0 failed -> {report.store_path} (")
    assert "x real time" in report.line()
    with FeatureStore(space.store("toy", "moments")) as store:
        assert store.ids == sorted(p.stem for p in root.glob("*.wav"))
        assert store_files(store.path) == [store.path]
        for name in store.ids:
            np.testing.assert_array_equal(store[name], expected(root, name))
        assert store.index(["u003"]).n_samples[0] == 821
        assert store.attrs["provenance"]["device"] == "cpu"
    again = run()
    assert counts(again) == (0, COUNT, 0)
    assert again.failures_path is None


def test_bad_files_are_listed_and_tried_again(run: Run, root: Path, space: Workspace) -> None:
    whole = (root / "u007.wav").read_bytes()
    (root / "u007.wav").write_bytes(b"no audio at all")
    (root / "u011.wav").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    report = run()
    assert counts(report) == (COUNT - 2, 0, 2)
    assert report.failures_path == space.features("toy") / "moments.failures.csv"
    assert "cannot be decoded" in reasons(report)["u007"]
    assert "Git LFS pointer" in reasons(report)["u011"]
    (root / "u007.wav").write_bytes(whole)
    report = run()
    assert counts(report) == (1, COUNT - 2, 1)
    assert list(reasons(report)) == ["u011"]
    (root / "u011.wav").write_bytes(whole)
    report = run()
    assert counts(report) == (1, COUNT - 1, 0)
    assert not (space.features("toy") / "moments.failures.csv").exists()
    with FeatureStore(space.store("toy", "moments")) as store:
        assert store.ids == sorted(p.stem for p in root.glob("*.wav"))


def test_a_corpus_of_lfs_pointers_gives_one_message(run: Run, root: Path, space: Workspace) -> None:
    for number, path in enumerate(root.glob("*.wav")):
        path.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize {10**number}\n")
    with pytest.raises(AudioError, match=rf"none of {COUNT} utterances can be used, all of them alike.*git lfs pull"):
        run()
    assert len((space.features("toy") / "moments.failures.csv").read_text().splitlines()) == COUNT + 1
    assert not space.store("toy", "moments").exists()


def test_a_deleted_source_is_a_failure_and_its_features_stay(run: Run, toy: ModuleType, root: Path, space: Workspace) -> None:
    table = toy.table_of(root)
    run(table=table)
    content = (root / "u004.wav").read_bytes()
    (root / "u004.wav").unlink()
    (root / "u005.wav").unlink()
    (root / "u004.wav").write_bytes(content)
    report = run(table=table)
    assert counts(report) == (0, COUNT - 1, 1)
    assert "u005.wav" in reasons(report)["u005"]
    with FeatureStore(space.store("toy", "moments")) as store:
        assert len(store) == COUNT


def test_a_changed_source_is_extracted_again(run: Run, root: Path, space: Workspace) -> None:
    run()
    (root / "u009.wav").write_bytes((root / "u001.wav").read_bytes())
    said: list[str] = []
    assert counts(run(say=said.append)) == (1, COUNT - 1, 0)
    assert said == ["moments: 1 utterances have changed since they were extracted: extracted again"]
    with FeatureStore(space.store("toy", "moments")) as store:
        np.testing.assert_array_equal(store["u009"], expected(root, "u001"))
        assert store.ids == sorted(store.ids)


def test_utterances_gone_from_the_table_leave_the_store(run: Run, toy: ModuleType, root: Path, space: Workspace) -> None:
    run()
    table = toy.table_of(root)
    smaller = make_table(table.frame.iloc[5:].to_dict("records"), "toy", table.facts)
    assert counts(run(table=smaller)) == (0, COUNT - 5, 0)
    with FeatureStore(space.store("toy", "moments")) as store:
        assert store.ids == smaller.ids


def test_a_corpus_folder_that_is_gone_is_one_error(run: Run, toy: ModuleType, root: Path) -> None:
    table = toy.table_of(root)
    root.rename(root.with_name("elsewhere"))
    with pytest.raises(CorpusError, match=r"audio of toy is gone: there is no folder .*--root"):
        run(table=table)


def test_features_that_are_not_finite_are_a_failure(run: Run, toy: ModuleType, space: Workspace) -> None:
    class Odd(toy.Moments):  # type: ignore[name-defined, misc]
        def _one(self, audio: Any) -> Any:
            return np.full(3, np.nan, np.float32) if len(audio) == 807 else super()._one(audio)

    report = run(Odd())
    assert counts(report) == (COUNT - 1, 0, 1)
    assert reasons(report) == {"u001": "features that are not finite; found 3 of 3 values"}
    with FeatureStore(space.store("toy", "moments")) as store:
        assert "u001" not in store


def test_an_encoder_that_fails_on_one_utterance_goes_on(run: Run, toy: ModuleType) -> None:
    def hook(audio: Any) -> None:
        if len(audio) == 814:
            raise EncoderError("too odd")
        if len(audio) == 821:
            raise ValueError("shapes")

    encoder = toy.Moments()
    encoder.hook = hook
    report = run(encoder)
    assert counts(report) == (COUNT - 2, 0, 2)
    assert reasons(report) == {"u002": "too odd", "u003": "the encoder failed with ValueError; found shapes"}


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "MPS backend out of memory (MPS allocated: 1 GB)",
    ],
)
@pytest.mark.parametrize("failures", [1, 2])
def test_a_gpu_out_of_memory_is_tried_once_more(run: Run, toy: ModuleType, failures: int, said: str) -> None:
    import torch

    tries: list[int] = []

    def hook(audio: Any) -> None:
        if len(audio) == 814 and len(tries) < failures:
            tries.append(1)
            raise (torch.cuda.OutOfMemoryError if said.startswith("CUDA out") else RuntimeError)(said)

    encoder = toy.Moments()
    encoder.hook = hook
    report = run(encoder)
    assert report.failed == failures - 1
    if report.failed:
        assert reasons(report)["u002"].startswith("the GPU is out of memory")


def test_an_interrupt_keeps_what_was_done(run: Run, toy: ModuleType, space: Workspace) -> None:
    seen: list[int] = []

    def hook(audio: Any) -> None:
        if len(seen) == 37:
            raise KeyboardInterrupt
        seen.append(len(audio))

    encoder = toy.Moments()
    encoder.hook = hook
    with pytest.raises(KeyboardInterrupt):
        run(encoder)
    with FeatureStore(space.store("toy", "moments")) as store:
        assert len(store) == 37
    assert counts(run()) == (COUNT - 37, 37, 0)


def test_a_full_disk_keeps_what_was_committed(run: Run, space: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = StoreWriter.commit, []

    def commit(self: StoreWriter, records: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "toy")
        real(self, records)

    monkeypatch.setattr(StoreWriter, "commit", commit)
    with pytest.raises(OSError, match="No space"):
        run()
    monkeypatch.undo()
    with FeatureStore(space.store("toy", "moments")) as store:
        assert len(store) == 32
        assert store.verify() == []
    assert counts(run()) == (COUNT - 32, 32, 0)


def test_another_identity_is_refused_until_overwrite(run: Run, toy: ModuleType) -> None:
    run()
    with pytest.raises(StoreError, match="window is not given there and 25 here"):
        run(toy.Moments(window=25))
    assert counts(run(toy.Moments(window=25), overwrite=True)) == (COUNT, 0, 0)
    assert counts(run(toy.Moments(window=25))) == (0, COUNT, 0)


def test_shards_share_the_work_and_a_later_call_merges(run: Run, toy: ModuleType, root: Path, space: Workspace) -> None:
    (root / "u000.wav").write_bytes(b"")
    first = run(shard=(0, 2))
    path = space.store("toy", "moments")
    assert not path.exists()
    assert first.store_path == shards_folder(path)
    assert first.failures_path == space.features("toy") / "moments.failures-0of2.csv"
    second = run(shard=(1, 2))
    assert first.done + second.done == COUNT - 1
    assert first.without == second.without == 0  # the other shard's utterances are not without audio
    toy.make_corpus(root, 1)
    assert counts(run()) == (1, COUNT - 1, 0)
    assert store_files(path) == [path]
    assert not list(space.features("toy").glob("*.csv"))
    with FeatureStore(path) as store:
        for name in store.ids:
            np.testing.assert_array_equal(store[name], expected(root, name))


def test_damage_while_extracting_is_made_good_before_the_merge(run: Run, toy: ModuleType, root: Path, space: Workspace) -> None:
    path = space.store("toy", "moments")
    run(shard=(0, 2))
    spoilt = store_files(path)[0]
    content = bytearray(spoilt.read_bytes())
    content[content.find(expected(root, "u003").tobytes())] ^= 1
    spoilt.write_bytes(content)
    said: list[str] = []
    report = run(say=said.append)
    assert report.failed == 0
    assert "set aside" in said[0]
    with FeatureStore(path) as store:
        assert len(store) == COUNT
        assert store.verify() == []
        np.testing.assert_array_equal(store["u003"], expected(root, "u003"))


def test_text_is_encoded_with_what_the_training_part_knows(toy: ModuleType, root: Path, space: Workspace, run: Run) -> None:
    rows = [
        {"utterance_id": f"t{n}", "text": text, "label": "x", "emotion": "neutral", "split": split}
        for n, (text, split) in enumerate([("abba", "train"), ("cab", "test"), ("", "train"), ("a", "validation")])
    ]
    for row in rows:
        row["path"] = "" if row["text"] else "x.wav"
    encoder = toy.Letters()
    report = run(encoder, make_table(rows, "toy", {"root": str(root)}))
    assert (*counts(report), report.without) == (3, 0, 0, 1)
    assert report.notes() == ["toy: 1 utterances without text"]
    assert encoder.prepared == (["abba"], {})
    assert encoder.calls == [["abba", "cab", "a"]]
    with FeatureStore(space.store("toy", "letters")) as store:
        assert store.ids == ["t0", "t1", "t3"]
        assert store["t1"].tolist() == [[0], [1], [2]]
        assert (store.vocabulary, store.assets, store.dtype) == (3, {"letters": "ab"}, np.int32)
    again = toy.Letters()
    rows[1]["text"] = "bac"
    assert counts(run(again, make_table(rows, "toy", {"root": str(root)}))) == (1, 2, 0)
    assert again.prepared == (["abba"], {"letters": "ab"})


def test_text_that_fails_fails_alone(toy: ModuleType, root: Path, run: Run) -> None:
    class Picky(toy.Letters):  # type: ignore[name-defined, misc]
        def encode(self, inputs: Any) -> Any:
            if "bad" in inputs:
                raise RuntimeError("a bad word")
            return super().encode(inputs)

    table = toy.table_of(root, text=lambda name: "bad" if name == "u002" else name)
    report = run(Picky(), table)
    assert counts(report) == (COUNT - 1, 0, 1)
    assert "a bad word" in reasons(report)["u002"]


def test_a_corpus_without_the_modality_is_an_error(toy: ModuleType, root: Path, run: Run) -> None:
    with pytest.raises(CorpusError, match="toy has no text"):
        run(toy.Letters())
    rows = [{"utterance_id": "a", "text": "b", "label": "x", "emotion": "neutral"}]
    with pytest.raises(CorpusError, match="toy has no audio"):
        run(table=make_table(rows, "toy", {"root": str(root)}))


class Batched:
    """Moments of batches: what each encoder saw is noted."""

    def __new__(cls, toy: ModuleType, name: str = "batched", budget: int = 3000, rate: int = 8000) -> Any:
        class Encoder(toy.Moments):  # type: ignore[name-defined, misc]
            sample_rate = rate
            seen: ClassVar[list[list[int]]] = []

            @property
            def budget(self) -> int:
                return self.left

            def halve(self) -> float:
                self.left //= 2
                return self.left / self.sample_rate

            def encode(self, inputs: Any) -> Any:
                self.seen.append([len(i) for i in inputs])
                return super().encode(inputs)

        encoder = Encoder(name)
        encoder.seen, encoder.left = [], budget
        return encoder


def test_batches_are_of_like_lengths_within_the_budget(run: Run, toy: ModuleType, root: Path, space: Workspace) -> None:
    encoder = Batched(toy)
    assert counts(run(encoder, toy.table_of(root))) == (COUNT, 0, 0)
    assert sum(map(len, encoder.seen)) == COUNT
    assert max(map(len, encoder.seen)) == 3
    for batch in encoder.seen:
        assert len(batch) * max(batch) <= 3000
        assert min(batch) >= 0.9 * max(batch)
    with FeatureStore(space.store("toy", "batched")) as store:
        assert store.ids == sorted(store.ids)
        for name in store.ids:
            np.testing.assert_array_equal(store[name], expected(root, name))


def test_one_pass_serves_all_encoders(run: Run, toy: ModuleType, root: Path, space: Workspace, decoded: list[str]) -> None:
    table = toy.table_of(root, text=lambda name: name)
    run(toy.Moments(), table)
    (root / "u003.wav").write_bytes(b"\x80no audio")
    decoded.clear()
    encoders = [toy.Moments(), toy.Moments("second", other=True), Batched(toy), toy.Letters()]
    reports = extract(table, encoders, space, jobs=2, quiet=True)
    assert [counts(r) for r in reports] == [(0, COUNT - 1, 1), (COUNT - 1, 0, 1), (COUNT - 1, 0, 1), (COUNT, 0, 0)]
    assert sorted(decoded) == sorted(p.name for p in root.glob("*.wav"))  # each once
    for name in ("moments", "second", "batched"):
        with FeatureStore(space.store("toy", name)) as store:
            for utterance in store.ids:
                if utterance != "u003":
                    np.testing.assert_array_equal(store[utterance], expected(root, utterance))
            assert len(store) == COUNT - (name != "moments")


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded."""
    from ser.audio import reading as audio

    names: list[str] = []
    real = audio.decode

    def decode(path: Any, **options: Any) -> Any:
        names.append(Path(path).name)
        return real(path, **options)

    monkeypatch.setattr(audio, "decode", decode)
    return names


def test_what_others_did_is_said_where_one_encoder_can_use_nothing(toy: ModuleType, root: Path, space: Workspace) -> None:
    wants = toy.Moments("wants-more")
    wants.minimum = 10**6
    said: list[str] = []
    with pytest.raises(AudioError, match=rf"toy wants-more: none of {COUNT} utterances can be used"):
        extract(toy.table_of(root), [wants, toy.Moments()], space, quiet=True, say=said.append)
    assert said[-1].startswith(f"toy moments: {COUNT} done, 0 skipped, 0 failed")


def test_a_recording_of_many_utterances_is_hashed_once(
    toy: ModuleType, root: Path, space: Workspace, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ser.audio import reading as audio

    read: list[str] = []
    real = audio.file_hash

    def hashed(path: Path) -> Any:
        read.append(path.name)
        return real(path)

    monkeypatch.setattr(utterances, "file_hash", hashed)
    times = [(0.0, 0.05), (0.05, 0.1), (0.02, None)]
    rows: list[dict[str, Any]] = [
        {"utterance_id": f"s{n}", "path": name, "start": start, "end": end, "label": "x", "emotion": "neutral"}
        for n, (name, (start, end)) in enumerate([*(("u009.wav", t) for t in times), ("u001.wav", (None, None))])
    ]
    table = make_table(rows, "toy", {"root": str(root)})
    assert counts(run(table=table)) == (4, 0, 0)
    assert sorted(read) == ["u001.wav", "u009.wav"]
    with FeatureStore(space.store("toy", "moments")) as store:
        for row in rows:
            assert store.sources()[row["utterance_id"]] == audio.segment_hash(
                audio.file_hash(root / row["path"]), row["start"], row["end"], None
            )
        assert len(set(store.sources().values())) == 4


def test_two_encoders_of_one_name_are_refused(toy: ModuleType, root: Path, space: Workspace) -> None:
    with pytest.raises(ConfigError, match="same store"):
        extract(toy.table_of(root), [toy.Moments(), toy.Moments(window=2)], space)


def test_a_store_that_does_not_fit_stops_all_before_any_work(toy: ModuleType, root: Path, space: Workspace) -> None:
    table = toy.table_of(root)
    extract(table, toy.Moments(), space, quiet=True)
    with pytest.raises(StoreError, match="window"):
        extract(table, [toy.Moments("other"), toy.Moments(window=2)], space, quiet=True)
    assert not space.store("toy", "other").exists()


def test_a_gpu_out_of_memory_halves_the_batches(run: Run, toy: ModuleType) -> None:
    import torch

    encoder = Batched(toy, budget=16000)
    real = type(encoder).encode

    def encode(self: Any, inputs: Any) -> Any:
        if len(inputs) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return real(self, inputs)

    type(encoder).encode = encode
    said: list[str] = []
    assert counts(run(encoder, say=said.append)) == (COUNT, 0, 0)
    assert max(map(len, encoder.seen)) <= 4
    assert encoder.left < 16000
    assert any("out of memory; from here on" in line for line in said)


@pytest.mark.parametrize("sliced", [False, True])
def test_verify_says_how_far_the_store_is_from_single_utterances(
    run: Run, toy: ModuleType, space: Workspace, sliced: bool
) -> None:
    class Sloppy(toy.Moments):  # type: ignore[name-defined, misc]
        def encode(self, inputs: Any) -> Any:
            self.calls += 1
            error = 0.0 if self.calls > COUNT // (1 + sliced) else 1e-3
            return [f * (1 + error) for f in super().encode(inputs)]

    encoder = Sloppy()
    encoder.calls = 0
    report = run(encoder, check=7, shard=(0, 2) if sliced else (0, 1))
    assert report.verified is not None
    assert report.verified[0] == 7
    assert report.verified[1] == pytest.approx(1e-3, rel=0.01)
    assert "7 encoded again alone: largest relative difference 1.0e-03" in report.line()
    if not sliced:
        again = toy.Moments()
        assert run(again, check=3).verified[0] == 3
        with FeatureStore(space.store("toy", "moments")) as store:
            held = store.attrs["provenance"]
        assert held["verified"] == {"utterances": 3, "largest_difference": pytest.approx(1e-3, rel=0.01), "against": "alone"}


def test_frames_may_be_stored_as_float16(toy: ModuleType, root: Path, space: Workspace) -> None:
    class Frames(toy.Moments):  # type: ignore[name-defined, misc]
        level, dim = "frame", 2

        def _one(self, audio: Any) -> Any:
            return audio[: len(audio) // 2 * 2].reshape(-1, 2) * self.scale

    encoder = Frames()
    encoder.scale, encoder.store_dtype = 1.0, "float16"
    table = toy.table_of(root)
    extract(table, encoder, space, quiet=True)
    with FeatureStore(space.store("toy", "moments")) as store:
        assert store.dtype == np.float16
        assert store.attrs["identity"]["stored_as"] == "float16"
        audio, _ = soundfile.read(root / "u000.wav", dtype="float32")
        np.testing.assert_allclose(store["u000"], audio.reshape(-1, 2), rtol=1e-3, atol=1e-7)
    encoder.scale = 1e7
    with pytest.raises(AudioError, match="float16 cannot hold"):
        extract(table, encoder, space, quiet=True, overwrite=True)


def test_two_threads_at_once_are_for_nvidias_gpus_only() -> None:
    from ser.extract.pipeline import _slots

    assert _slots("mps").qsize() == 1


def test_threads_are_as_they_were(run: Run) -> None:
    import torch

    before = torch.get_num_threads()
    run(jobs=4)
    assert torch.get_num_threads() == before
