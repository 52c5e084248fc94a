"""Augmented views at extraction: stores beside the original, the same bytes whatever the order, batch, jobs or resume."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from ser.cli import main
from ser.errors import ConfigError, StoreError
from ser.extract.encoder import ViewedEncoder, load
from ser.extract.extraction import extract
from ser.extract.options import EncoderOptions
from ser.extract.views import effects, policies
from ser.extract.views.recordings import open_folder
from ser.extract.views.view import AudioView, make_views
from ser.features.stores.names import SUITE_VIEWS, TTA_VIEWS, view_stores
from ser.features.stores.store import FeatureStore
from ser.metadata.labels import SCHEMES
from ser.metadata.table import Table, make_table
from ser.workspace import Workspace

RATE = 16000
EMOTIONS = ("anger", "happiness", "sadness", "neutral", "fear")
COUNT = 20


@pytest.fixture
def table(tmp_path: Path) -> Table:
    root = tmp_path / "corpus"
    root.mkdir()
    rows = []
    for k in range(COUNT):
        audio = np.random.default_rng(k).normal(0, 0.1, 6000 + 100 * k).astype(np.float32)
        soundfile.write(root / f"u{k:02d}.wav", audio, RATE, subtype="FLOAT")
        emotion = EMOTIONS[k % 5]
        rows.append({"utterance_id": f"u{k:02d}", "path": f"u{k:02d}.wav", "emotion": emotion, "label": emotion})
    return make_table(rows, "toy", {"root": str(root)})


def encoders(*words: str, **options: Any) -> list[Any]:
    """Log-mel on the audio and on views of it."""
    encoder = load("logmel", "audio", EncoderOptions())
    return [encoder, *(ViewedEncoder(encoder, view) for view in make_views(words, scheme=SCHEMES["4"], **options))]


def values(space: Workspace, name: str) -> dict[str, bytes]:
    with FeatureStore(space.store("toy", name)) as store:
        return {i: store[i].tobytes() for i in store.ids}


def source(table: Table, name: str) -> Any:
    return soundfile.read(table.root / f"{name}.wav", dtype="float32")[0]


def test_names_of_views() -> None:
    assert policies.view_names(["tta", "2"]) == [*TTA_VIEWS, "random1", "random2"]
    for word in ("0", "101"):
        with pytest.raises(ConfigError, match="1 to 100 random views"):
            policies.view_names([word])
    assert policies.view_names(["pitch2", "pitch-2", "gain6", "noise15.0", "speed0.950", "reverb", "classwise3", "gsm"]) == [
        "pitch+2",
        "pitch-2",
        "gain+6",
        "noise15",
        "speed0.95",
        "reverb",
        "classwise3",
        "gsm",
    ]
    assert policies.view_names(["suite", "clip10.0"]) == list(SUITE_VIEWS)
    for word in ("louder", "speed1", "speed3", "pitch0", "noise", "random0", "noise15db", "gsm13", "opus300", "clip0"):
        with pytest.raises(ConfigError, match="--views"):
            policies.view_names([word])


def test_views_lie_beside_the_original_and_are_of_its_audio(table: Table, tmp_path: Path) -> None:
    space = Workspace(tmp_path / "work")
    reports = extract(table, encoders("tta", "pitch+2"), space, quiet=True, check=3)
    assert [r.store for r in reports] == ["logmel", *(f"logmel@{v}" for v in (*TTA_VIEWS, "pitch+2"))]
    assert all(r.done == COUNT and r.verified == (3, 0.0) for r in reports)
    assert set(view_stores(space.features("toy"), "logmel")) == {*TTA_VIEWS, "pitch+2"}
    encoder = load("logmel", "audio", EncoderOptions())
    with FeatureStore(space.store("toy", "logmel@speed0.95")) as store:
        assert store.ids == table.ids
        assert store.facts.encoder == "logmel"
        expected = encoder.encode([effects.speed(source(table, "u07"), RATE, 0.95)])[0]
        np.testing.assert_array_equal(store["u07"], expected)
        assert store.index(["u07"]).n_samples[0] == round(6700 / 0.95)
        view = store.attrs["identity"]["view"]
        assert (view["name"], view["seed"], view["operations"]) == ("speed0.95", 0, [["speed", 0.95]])


@pytest.mark.usefixtures("forked_workers")
def test_bytes_do_not_depend_on_jobs_order_batch_or_resume(table: Table, tmp_path: Path) -> None:
    words = ("noise15", "random1", "classwise1")
    once, again = Workspace(tmp_path / "once"), Workspace(tmp_path / "again")
    extract(table, encoders(*words), once, quiet=True)
    parts = make_table(table.frame.iloc[::-1].to_dict("records"), "toy", {"root": str(table.root)})
    few = make_table(parts.frame.iloc[:7].to_dict("records"), "toy", {"root": str(table.root)})
    extract(few, encoders("random1")[1:], again, quiet=True)  # interrupted, and without the original
    extract(parts, encoders(*reversed(words)), again, quiet=True, jobs=2)
    for name in ("logmel", *(f"logmel@{w}" for w in words)):
        assert values(once, name) == values(again, name), name
    assert values(once, "logmel@noise15") != values(once, "logmel")


def test_draws_are_of_utterance_view_and_seed() -> None:
    views = make_views(["6"])
    drawn = [view.operations(f"u{k}") for view in views for k in range(60)]
    numbers = [d for d in drawn if d != [("reverb", 0.0)]]
    assert len({str(d) for d in numbers}) == len(numbers) > 300
    assert {name for d in drawn for name, _ in d} == set(policies.RANDOM)
    assert {len(d) for d in drawn} == {1, 2, 3}
    for operations in drawn:
        assert [n for n, _ in operations] == sorted((n for n, _ in operations), key=policies.ORDER.index)
        for name, number in operations:
            low, high = policies.RANDOM[name]
            assert low <= number <= high
    assert AudioView("random1").operations("u3") == views[0].operations("u3")
    assert AudioView("random1", seed=1).operations("u3") != views[0].operations("u3")


def test_another_seed_or_other_noises_are_another_store(table: Table, tmp_path: Path) -> None:
    space = Workspace(tmp_path / "work")
    extract(table, encoders("noise15"), space, quiet=True)
    with pytest.raises(StoreError, match="view"):
        extract(table, encoders("noise15", seed=1), space, quiet=True)
    noises = tmp_path / "noises"
    noises.mkdir()
    hum = np.sin(2 * np.pi * 50 * np.arange(2 * RATE) / RATE).astype(np.float32)
    soundfile.write(noises / "hum.wav", hum, RATE, subtype="FLOAT")
    folder = open_folder(noises, "--noise-folder")
    with pytest.raises(StoreError, match="view"):
        extract(table, encoders("noise15", noises=folder), space, quiet=True)
    extract(table, encoders("noise15", noises=folder), space, quiet=True, overwrite=True)
    with FeatureStore(space.store("toy", "logmel@noise15")) as store:
        assert store.attrs["identity"]["view"]["noise"] == {"files": 1, "sha256": folder.sha256}
    view = make_views(["noise15"], noises=folder)[0]
    added = view.apply(source(table, "u03"), RATE, "u03").astype(np.float64) - source(table, "u03")
    spectrum = np.abs(np.fft.rfft(added * np.hanning(len(added))))
    assert abs(np.fft.rfftfreq(len(added), 1 / RATE)[spectrum.argmax()] - 50) < 3
    with pytest.raises(ConfigError, match="--noise-folder: none of the views pitch"):
        make_views(["pitch+2"], noises=folder)


def test_a_class_differentiated_view_follows_the_label_and_is_of_labelled_utterances(table: Table, tmp_path: Path) -> None:
    space = Workspace(tmp_path / "work")
    _, report = extract(table, encoders("classwise1"), space, quiet=True)
    assert report.done == COUNT * 4 // 5
    assert report.notes() == ["toy: 4 utterances without anger, happiness, neutral or sadness"]
    with FeatureStore(space.store("toy", "logmel@classwise1")) as store:
        assert store.ids == [i for i, e in zip(table.ids, table.frame["emotion"], strict=True) if e != "fear"]
        view = store.attrs["identity"]["view"]
        assert (view["scheme"], view["masked"]) == ("4", True)
        assert view["labels"]["excitement"] == "happiness"
        frames = store["u00"]  # anger: pitch, and strong masks
    (policy,) = make_views(["classwise1"], scheme=SCHEMES["4"])
    ((name, semitones),) = policy.operations("u00", "anger")
    assert name == "pitch"
    assert -3 <= semitones <= 3
    clean = load("logmel", "audio", EncoderOptions()).encode([effects.pitch(source(table, "u00"), RATE, semitones)])[0]
    hidden = frames == 0
    assert 0 < hidden.sum() < hidden.size
    np.testing.assert_array_equal(frames[~hidden], clean[~hidden])
    assert all(row.all() or column.all() for row, column in _cells(hidden))
    drawn = {e: {tuple(n for n, _ in policy.operations(f"u{k}", e)) for k in range(40)} for e in policy.classes}
    assert drawn == {
        "anger": {("pitch",)},
        "happiness": {("pitch", "noise"), ("tempo", "noise")},
        "sadness": {("reverb", "pink")},
        "neutral": {("white",)},
    }


def _cells(hidden: Any) -> list[Any]:
    """The row and the column of every hidden cell: a mask hides whole ones."""
    return [(hidden[r], hidden[:, c]) for r, c in np.argwhere(hidden).tolist()]


def test_a_changed_label_makes_its_view_anew(table: Table, tmp_path: Path) -> None:
    space = Workspace(tmp_path / "work")
    extract(table, encoders("classwise1", "noise15"), space, quiet=True)
    rows = table.frame.to_dict("records")
    rows[0] |= {"emotion": "sadness", "label": "sadness"}
    changed = make_table(rows, "toy", {"root": str(table.root)})
    reports = extract(changed, encoders("classwise1", "noise15"), space, quiet=True)
    assert [(r.store, r.done) for r in reports] == [("logmel", 0), ("logmel@classwise1", 1), ("logmel@noise15", 0)]


def test_a_recording_is_decoded_once_for_all_views(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ser.audio import reading

    decode, calls = reading.decode, []
    monkeypatch.setattr(reading, "decode", lambda path, **k: calls.append(path) or decode(path, **k))
    extract(table, encoders("tta", "gain-6"), Workspace(tmp_path / "work"), quiet=True)
    assert len(calls) == COUNT


Ser = Callable[..., int]


@pytest.fixture
def ser(tmp_path: Path, table: Table) -> Ser:
    from ser.metadata.table import write_table

    write_table(table, Workspace(tmp_path / "work"))
    return lambda *words: main([*words, "--workspace", str(tmp_path / "work")])


def test_the_command(ser: Ser, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ("extract", "--dataset", "toy", "--audio", "logmel", "--jobs", "1", "--views")
    assert ser(*asked, "tta,classwise1") == 0
    said = capsys.readouterr()
    assert f"toy logmel@noise15: {COUNT} done, 0 skipped, 0 failed" in said.out
    assert ser(*asked, "louder") == 2
    assert "no such view" in capsys.readouterr().err
    assert ser(*asked, "classwise1", "--view-scheme", "native", "--overwrite") == 0
    assert ser("store", "verify") == 0
    assert "toy logmel@speed0.95: 20 utterances, all as they were written" in capsys.readouterr().out
    assert ser("extract", "--dataset", "toy", "--text", "wordpiece", "--views", "tta") == 2
    assert "no audio encoder" in capsys.readouterr().err
    assert ser("extract", "--dataset", "toy", "--audio", "logmel", "--impulses", str(tmp_path)) == 2
    assert "--impulses is for --views" in capsys.readouterr().err


def test_the_policy_is_refused_on_validation_and_test_data(
    ser: Ser, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ser("extract", "--dataset", "toy", "--audio", "logmel", "--jobs", "1", "--views", "noise15,classwise1") == 0
    fit = ("fit", "--dataset", "toy", "--runs", "1", "--epochs", "1", "--head", "mean_linear", "--protocol", "random")
    assert ser(*fit, "--audio", "logmel@classwise1") == 2
    assert "gives its true label away (scheme 4)" in capsys.readouterr().err
    assert ser(*fit, "--audio", "logmel@noise15", "--output", str(tmp_path / "noisy.json")) == 0
    assert ser(*fit, "--views", "all", "--output", str(tmp_path / "viewed.json")) == 0
    noisy, viewed = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("noisy", "viewed"))
    assert "logmel@noise15 is an augmented view, in training and test" in noisy["stamps"]
    (stamp,) = [s for s in viewed["stamps"] if "views" in s]
    assert stamp.endswith("original, classwise1, noise15; classwise1 by the true label, scheme 4")
    assert set(viewed["data"]["views"]["stores"]) == {"logmel@classwise1", "logmel@noise15"}
