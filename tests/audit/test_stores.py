"""`ser audit` on feature stores: features that give labels away by how they were made, or by their values."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ser.audit.audit import audit_dataset
from ser.audit.record import ERROR, INFO, WARNING, Finding
from ser.audit.split_data import split_table
from ser.audit.stores import store_findings
from ser.features.importing.feature_files import parse
from ser.features.importing.import_features import import_features
from ser.features.stores.store import FeatureStore
from ser.features.value_checks import check_values
from ser.metadata import ledger
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.table import load_table

VIEW = {"encoder": "toy", "view": {"name": "classwise1", "scheme": "4"}}
SIMULATED = {"encoder": "toy", "text_source": {"name": "simulated"}}
MADE = {"view": ("audio", "toy@classwise1", VIEW), "text": ("text", "toy+simulated", SIMULATED)}
RNG = np.random.default_rng(3)


def imported(maker: Any, tmp_path: Path, change: Any, framewise: bool = False) -> list[str]:
    """Random features of six speakers, changed, under the name `x`; the ids."""
    maker.table("toy", speakers=6, each=4)
    frame = load_table("toy", maker.space).frame
    values = RNG.normal(size=(len(frame), 4)).astype(np.float32)
    change(values, frame)
    folder = tmp_path / "x"
    folder.mkdir()
    for utterance, row in zip(frame["utterance_id"], values, strict=True):
        np.save(folder / f"{utterance}.npy", np.tile(row, (3, 1)) if framewise else row)
    import_features("toy", maker.space, [parse(f"audio:x={folder}")])
    return list(frame["utterance_id"])


def findings(maker: Any) -> dict[str, Finding]:
    subject = split_table(load_table("toy", maker.space), "speaker", FoldOptions(), "native")
    return {f.kind: f for f in store_findings(maker.space, subject)}


CODES = {"anger": 0, "happiness": 1, "neutral": 2, "sadness": 3}


@pytest.mark.parametrize(
    ("of", "telling"),
    [
        (lambda emotions, k: [CODES[e] for e in emotions], True),
        (lambda emotions, k: [CODES[e] % 2 for e in emotions], True),  # a coarser label
        (lambda emotions, k: [CODES[e] + 4 * (j % 2) for j, e in enumerate(emotions)], True),  # two codes a class
        (lambda emotions, k: [CODES[e] + 0.9 * np.sin(j) ** 2 for j, e in enumerate(emotions)], True),  # parted ranges
        (lambda emotions, k: [0.0] * k, False),
        (lambda emotions, k: list(range(k)), False),  # each value one utterance: a counter
        (lambda emotions, k: [min(3, CODES[e] + (j == 5)) for j, e in enumerate(emotions)], False),  # one is otherwise
    ],
)
@pytest.mark.parametrize("framewise", [False, True])
def test_a_feature_that_tells_the_label(maker: Any, tmp_path: Path, of: Any, telling: bool, framewise: bool) -> None:
    def change(values: Any, frame: Any) -> None:
        values[:, 2] = of(list(frame["emotion"]), len(frame))

    imported(maker, tmp_path, change, framewise)
    found = findings(maker)
    assert ("feature-tells-label" in found) is telling
    if telling:
        assert found["feature-tells-label"].severity == ERROR
        assert found["feature-tells-label"].examples == ("x: feature 2",)


def test_rows_that_are_the_same_across_parts_and_rows_of_zeros(maker: Any, tmp_path: Path) -> None:
    def change(values: Any, frame: Any) -> None:
        speaker = frame["speaker"].to_numpy()
        values[np.flatnonzero(speaker == "s1")[0]] = values[np.flatnonzero(speaker == "s0")[0]]  # two voices
        values[np.flatnonzero(speaker == "s2")[1]] = values[np.flatnonzero(speaker == "s2")[0]]  # one voice: never across
        values[[5, 50]] = 0

    ids = imported(maker, tmp_path, change)
    found = findings(maker)
    shared, zero = found["features-shared"], found["features-zero"]
    assert (shared.severity, shared.count, shared.of) == (WARNING, 1, 1)
    assert shared.detail.startswith(f"x: 2 of {len(ids)} ")
    first = {s: next(i for i in ids if f"-{s}-" in i) for s in ("s0", "s1")}
    assert shared.examples == (f"x: {first['s0']} = {first['s1']}",)
    assert (zero.severity, zero.count, zero.examples) == (WARNING, 2, (f"x: {ids[5]}", f"x: {ids[50]}"))
    assert set(found) == {"features-shared", "features-zero", "encoder-unknown"}
    with FeatureStore(maker.space.store("toy", "x")) as store:
        assert len(check_values(store, {}).twins) == 2


def test_the_audit_tells_of_stores_that_were_made_with_labels(maker: Any) -> None:
    maker.table("toy", speakers=6, each=2)
    maker.store("toy", "toy")
    maker.store("toy", "words", modality="text")
    assert findings(maker) == {}
    for modality, name, identity in MADE.values():
        maker.store("toy", name, modality=modality, identity=identity)
    record, _ = audit_dataset("toy", str(maker.space.root), protocol="speaker", audio=False)
    told = {f.kind: (f.severity, f.examples) for f in record.findings}
    assert told["simulated-text"] == (WARNING, ("toy+simulated",))
    assert told["label-views"] == (INFO, ("toy@classwise1: scheme 4",))


@pytest.mark.parametrize(("model", "kind"), [("openai/whisper-small", True), ("facebook/wav2vec2-base", False)])
def test_the_audit_judges_the_recogniser_of_a_text(maker: Any, model: str, kind: bool) -> None:
    maker.table("toy", speakers=6, each=2)
    source = {"name": "asr-x", "model": model}
    maker.store("toy", "wordpiece+asr-x", modality="text", identity={"encoder": "wordpiece", "text_source": source})
    record, _ = audit_dataset("toy", maker.space, protocol="speaker", audio=False)
    assert ("encoder-unknown" in {f.kind for f in record.findings}) is kind


@pytest.mark.parametrize(
    ("facts", "seen"),
    [
        ({"corpus": "emobox", "source_corpus": "ravdess"}, True),
        ({"corpus": "ravdess", "utterances_of_release": 1440}, True),
        ({"corpus": "ravdess", "synthetic": True}, False),
    ],
)
def test_the_audit_names_the_encoders_that_a_stamp_names(maker: Any, facts: dict[str, Any], seen: bool) -> None:
    maker.table("toy", speakers=6, each=2, **facts)
    identity = {"encoder": "emotion2vec_plus_large", "weights_sha256": "ab"}
    maker.store("toy", "e2v", identity=identity)
    record, _ = audit_dataset("toy", maker.space, protocol="speaker", audio=False)
    assert ("encoder-seen" in {f.kind for f in record.findings}) is seen
    stamps = ledger.encoder_stamps(load_table("toy", maker.space).facts, {"e2v": {"encoder": "emotion2vec_plus_large"}})
    assert (stamps == []) is not seen
