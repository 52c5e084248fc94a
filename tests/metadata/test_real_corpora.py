"""The plugins on the real corpora, where a developer has them; skipped elsewhere."""

import csv
import json
from pathlib import Path

import pytest

from ser.cli import main
from ser.metadata.build import build
from ser.metadata.corpora import cremad, ravdess
from ser.metadata.corpus import parse_corpus


def test_ravdess(real: Path) -> None:
    built = build("ravdess", real / "ravdess", quiet=True)
    frame = built.table.frame
    assert len(frame) == 1440
    assert built.notes == []
    assert len(built.unusable) == 0
    assert frame.groupby("speaker").size().eq(60).all()
    assert frame.groupby("gender")["speaker"].nunique().to_dict() == {"female": 12, "male": 12}
    assert frame["emotion"].value_counts().to_dict() == {"neutral": 96} | dict.fromkeys(
        ("calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise"), 192
    )
    assert frame["duration"].between(2.5, 6).all()


def test_ravdess_folds_are_emoboxes(real: Path) -> None:
    fold_of = {r["utterance_id"]: int(r["fold"]) for r in csv.DictReader((real / "ravdess_emobox_folds.csv").open())}
    ours = {speaker: number for number, fold in enumerate(ravdess.EMOBOX_FOLDS, start=1) for speaker in fold}
    frame = parse_corpus("ravdess", real / "ravdess").frame
    assert {u: ours[s] for u, s in zip(frame["utterance_id"], frame["speaker"], strict=True)} == fold_of


def test_emodb(real: Path) -> None:
    built = build("emodb", real / "emodb", quiet=True)
    frame = built.table.frame
    assert len(frame) == 535
    assert built.notes == []
    assert frame["speaker"].nunique() == 10
    assert frame["text"].nunique() == 10
    assert frame["emotion"].value_counts().to_dict() == {
        "anger": 127, "boredom": 81, "neutral": 79, "happiness": 71, "fear": 69, "sadness": 62, "disgust": 46,
    }  # fmt: skip
    shares = frame["votes"].map(lambda v: next(iter(json.loads(v).values())))
    assert len(shares) == 535
    assert shares.mean() == pytest.approx(0.935, abs=0.001)  # the published mean recognition of these clips


def test_meld(real: Path) -> None:
    built = build("meld", real / "meld", quiet=True)
    frame = built.table.frame
    assert frame["split"].value_counts().to_dict() == {"train": 9989, "validation": 1109, "test": 2610}
    assert frame.groupby("split")["dialogue"].nunique().to_dict() == {"train": 1038, "validation": 114, "test": 280}
    assert built.notes == []
    speakers = {part: set(rows["speaker"]) for part, rows in frame.groupby("split")}
    assert len(speakers["train"] & speakers["test"]) == 69
    assert not frame["text"].str.contains("[\x80-\x9f]", regex=True).any()


def test_cremad_votes_are_those_of_the_voice(real: Path) -> None:
    folder = real / "cremad_metadata"
    frame = parse_corpus("cremad", folder).frame.set_index("utterance_id")
    assert len(frame) == 7442
    assert frame["speaker"].nunique() == 91
    assert frame["text"].nunique() == 12
    assert frame.groupby("gender")["speaker"].nunique().to_dict() == {"female": 43, "male": 48}
    assert frame["age"].between(20, 74).all()
    intended = 0.0
    with (folder / "processedResults" / "summaryTable.csv").open(newline="") as handle:
        for row in csv.DictReader(handle):  # an independent table of the release: who won among the listeners
            votes = json.loads(frame.loc[row["FileName"], "votes"])
            best = max(votes.values())
            winners = {emotion for emotion, share in votes.items() if share == best}
            assert winners == {cremad.VOTES[letter] for letter in row["VoiceVote"].split(":")}
            intended += votes.get(frame.loc[row["FileName"], "emotion"], 0.0)
    assert intended / 7442 == pytest.approx(0.397, abs=0.001)  # Cao et al. 2014: voice 41 %, face 58 %, both 64 %


def test_mosi_as_three_imported_modalities(real: Path, tmp_path: Path) -> None:
    """Logistic regression gives what it gives outside of this project, 75.7 / 55.7 / 51.5 / 76.5 %, within three utterances."""
    names = {"text": "text", "audio": "audio", "visual": "video"}
    parts = [(p, m, real / f"mosi/{f}/{f}_{p}0.csv.gz") for p in ("train", "test") for m, f in names.items()]
    files = [word for part, modality, file in parts for word in (f"--{part}", f"{modality}={file}")]
    common = ["--dataset", "mosi", "--workspace", str(tmp_path), "--quiet"]
    told = ["--rows", "--label", "-1", "--label-names", "negative,positive"]
    assert main(["store", "import", *common, *files, *told]) == 0
    head = ["--head", "sklearn:LogisticRegression", "--head-option", "C=0.01", "--head-option", "max_iter=5000"]
    how = ["--scheme", "native", "--protocol", "official", "--class-weights", "none", "--feature-limit", "0", "--runs", "1"]
    for modalities, accuracy in (("text", 75.7), ("audio", 55.7), ("visual", 51.5), ("text,audio,visual", 76.5)):
        output = tmp_path / f"{modalities}.json"
        assert main(["fit", *common, *head, *how, "--modalities", modalities, "--output", str(output)]) == 0
        found = json.loads(output.read_text())["test"]["WA"]["mean"]
        assert abs(100 * found - accuracy) < 0.4, modalities
