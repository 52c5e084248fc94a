"""CMU-MOSEI: sentences of YouTube monologues, rated for sentiment and for the presence of six emotions.

`CMU_MOSEI_Labels.csd` is an HDF5 file: `All Labels/data/VIDEO/features` has a row of seven numbers for each segment (sentiment
-3 to 3; happy, sad, anger, surprise, disgust, fear 0 to 3, the means of three listeners), `intervals` its begin and end in s. A
line of `Transcript/Segmented/Combined/VIDEO.txt` is `VIDEO___0___23.199___30.325___text`.
"""

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.labels import by_word
from ser.metadata.parsing import LOG, files_below, left_out, read_text, stem
from ser.metadata.schema import Row

TITLE = "CMU-MOSEI, the CMU Multimodal Opinion Sentiment and Emotion Intensity dataset"
CITATION = (
    "A. Bagher Zadeh, P. P. Liang, S. Poria, E. Cambria, L.-P. Morency: Multimodal Language Analysis in the Wild: CMU-MOSEI "
    "Dataset and Interpretable Dynamic Fusion Graph. ACL 2018, 2236-2246. doi:10.18653/v1/P18-1208"
)
LICENCE = "for research (published without a licence text); the videos are of YouTube"
URL = "https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK"
LANGUAGE = "en"
TREE = """
CMU_MOSEI_Labels.csd                            sentiment and emotions of 23,259 segments (anywhere below the folder)
Raw/Audio/Full/WAV_16000/VIDEO.wav              whole recordings
Raw/Transcript/Segmented/Combined/VIDEO.txt     text of the segments
cmu_mosei_std_folds.py                          the official split, of the CMU Multimodal SDK; read, never run
"""
LABELS = by_word("happy", "sad", "anger", "surprise", "disgust", "fear")
DIMENSIONS = {"sentiment": (-3, 3)} | dict.fromkeys(LABELS.values(), (0, 3))
UTTERANCES = 23259
SENTENCES = None
NOTES = (
    "Several emotions may be there at once: the label names all whose presence is above 0 (happy;sad). The emotion is the one "
    "whose presence is highest, as public readers take it for classes; none where none is there or two are equal.",
    "The columns happiness, sadness, ... have the presence of each, 0 to 3; sentiment is -3 to 3.",
    "Speakers are not known: the session is the video.",
    "Published numbers mostly call an emotion present above 0, and score each by weighted accuracy and F1.",
)
_NAMES = ("sentiment", *LABELS)
_FOLDS = {"standard_train_fold": "train", "standard_valid_fold": "validation", "standard_test_fold": "test"}
_SEPARATOR = "___"


def parse(root: Path) -> Iterator[Row]:
    """Rows of the labelled segments, in the order of videos and of the label file.

    Raises:
        CorpusError: no label file, or one that is not laid out as CMU-MOSEI's is.
    """
    audio, texts, file, folds = _files(root)
    if file is None:
        raise CorpusError(
            f"{root} holds no labels of CMU-MOSEI",
            expected="CMU_MOSEI_Labels.csd",
            action="Give the folder that holds it and Raw/ with --root.",
        )
    parts = _parts(folds)
    without = empty = 0
    for video, segments in _labels(file):
        spoken = _spoken(texts.get(video))
        for number, (begin, end, values) in enumerate(segments):
            text = spoken.get(_times(begin, end), "")
            if end <= max(begin, 0.0):
                empty += 1
                continue
            without += video not in audio
            yield cast(
                Row,
                {
                    "utterance_id": f"{video}[{number}]",
                    "path": audio.get(video) or ("" if text else f"Raw/Audio/Full/WAV_16000/{video}.wav"),
                    "start": max(begin, 0.0),
                    "end": end,
                    "text": text,
                    **_emotions(values),
                    "session": video,
                    "split": parts.get(video, ""),
                },
            )
    left_out(empty, "segments that end before they begin")
    if without:
        LOG.warning("segments without their recording: %d", without)


def example(root: Path) -> Path:
    import h5py
    import numpy as np

    raw = root / "Raw"
    for video in ("-aBcDeFgH12", "45678"):
        write_tone(raw / "Audio" / "Full" / "WAV_16000" / f"{video}.wav", seconds=2.0)
    lines = ("-aBcDeFgH12___1___-0.4576___0.8___Now ___ this is good.", "-aBcDeFgH12___0___0.8___1.9___And I'd say so again.")
    write_text(raw / "Transcript" / "Segmented" / "Combined" / "-aBcDeFgH12.txt", "\n".join(lines) + "\n")
    segments = {
        "-aBcDeFgH12": ([[0.8, 1.9], [-0.4576, 0.8]], [[1, 0.6667, 0, 0, 0, 0, 0], [-2, 0, 1, 0.3333, 0, 0, 0]]),
        "45678": ([[0.5, 1.5]], [[0.3333, 0, 0, 0, 0, 0, 1.3333]]),
    }
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "w") as file:
        group = file.create_group("All Labels")
        for video, (intervals, features) in segments.items():
            group[f"data/{video}/intervals"] = np.array(intervals, dtype=np.float64)
            group[f"data/{video}/features"] = np.array(features, dtype=np.float32)
        group["metadata/dimension names"] = [json.dumps(_NAMES).encode()]
    write_text(root / "cmu_mosei_std_folds.py", "standard_train_fold=['-aBcDeFgH12']\nstandard_test_fold=['45678']\n")
    return root


def _files(root: Path) -> tuple[dict[str, str], dict[str, Path], Path | None, Path | None]:
    """Video -> recording, before a film; video -> transcript; the label file; the file of the split."""
    audio: dict[str, str] = {}
    texts: dict[str, Path] = {}
    labels = folds = None
    endings = (".wav", ".mp4", ".txt", ".csd", "cmu_mosei_std_folds.py")
    for path in sorted(files_below(root, *endings), key=lambda p: p.lower().endswith(".mp4")):
        folders = path.split("/")[:-1]
        if path.lower().endswith((".wav", ".mp4")):
            if "Segmented" not in folders:
                audio.setdefault(stem(path), path)
        elif path.endswith(".txt"):
            if folders[-2:] == ["Segmented", "Combined"]:
                texts[stem(path)] = root / path
        elif stem(path) == "CMU_MOSEI_Labels":
            labels = root / path
        elif path.endswith("cmu_mosei_std_folds.py"):
            folds = root / path
    return audio, texts, labels, folds


def _labels(file: Path) -> Iterator[tuple[str, list[tuple[float, float, list[float]]]]]:
    """(video, [(begin in s, end in s, seven values)]) from the label file."""
    import h5py

    try:
        with h5py.File(file, "r") as stored:
            (name,) = stored
            for video in sorted(stored[name]["data"]):
                of = stored[name]["data"][video]
                times, values = of["intervals"][:].tolist(), of["features"][:].tolist()
                if len(times) != len(values) or any(len(v) != len(_NAMES) for v in values):
                    raise ValueError(f"{video}: {len(times)} intervals, {len(values)} rows")
                yield video, [(begin, end, v) for (begin, end), v in zip(times, values, strict=True)]
    except (OSError, KeyError, TypeError, ValueError) as error:
        expected = f"HDF5: All Labels/data/VIDEO/intervals, and features of {', '.join(_NAMES)}"
        raise CorpusError(f"cannot read {file}", expected=expected, found=error) from None


def _emotions(values: list[float]) -> dict[str, Any]:
    """Label, emotion and the columns of ratings."""
    sentiment, *presence = (round(v, 6) for v in values)
    there = {word: share for word, share in zip(LABELS, presence, strict=True) if share > 0}
    highest = [word for word, share in there.items() if share == max(there.values())]
    return {
        "label": ";".join(there),
        "emotion": LABELS[highest[0]] if len(highest) == 1 else "",
        "sentiment": sentiment,
        **dict(zip(LABELS.values(), presence, strict=True)),
    }


def _times(begin: float, end: float) -> tuple[float, float]:
    return round(begin, 3), round(end, 3)


def _spoken(file: Path | None) -> dict[tuple[float, float], str]:
    """(begin, end) in ms precision -> text. Some texts hold the separator too."""
    spoken = {}
    malformed = 0
    for line in read_text(file).splitlines() if file else ():
        fields = line.split(_SEPARATOR, 4)
        try:
            spoken[_times(float(fields[2]), float(fields[3]))] = fields[4].strip()
        except (IndexError, ValueError):
            malformed += bool(line.strip())
    left_out(malformed, f"malformed lines of {file.name if file else ''}")
    return spoken


def _parts(file: Path | None) -> dict[str, str]:
    """Video -> part, from the lists in the SDK's Python file, which is parsed as literals and not run."""
    if file is None:
        LOG.warning("not there: cmu_mosei_std_folds.py; so no official split")
        return {}
    parts: dict[str, str] = {}
    try:
        for line in ast.parse(read_text(file)).body:
            name = line.targets[0].id if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name) else ""
            if name in _FOLDS and isinstance(line, ast.Assign):
                parts |= dict.fromkeys((str(video) for video in ast.literal_eval(line.value)), _FOLDS[name])
    except (SyntaxError, TypeError, ValueError) as error:
        raise CorpusError(f"cannot read {file}", expected=f"lists {', '.join(_FOLDS)}", found=error) from None
    return parts
