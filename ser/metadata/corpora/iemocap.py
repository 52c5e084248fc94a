"""IEMOCAP: ten actors in five sessions of two, scripted and improvised dialogues, with annotators' votes.

An evaluation file (`dialog/EmoEvaluation/NAME.txt`) has a block an utterance: `[start - end]`, utterance, label (the
majority of the annotators; `xxx` where there is none), `[valence, activation, dominance]` (means, scale 1 to 5), then a line
an annotator. `C-E2:` is an evaluator's categories, `C-F1:` and `C-M1:` are the actors' own, `A-...:` are dimensions.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.labels import by_word
from ser.metadata.parsing import canonical, files_below, left_out, read_text, shares, stem
from ser.metadata.schema import Row

TITLE = "IEMOCAP, the Interactive Emotional Dyadic Motion Capture Database"
CITATION = (
    "C. Busso, M. Bulut, C.-C. Lee, A. Kazemzadeh, E. Mower, S. Kim, J. N. Chang, S. Lee, S. S. Narayanan: IEMOCAP: "
    "Interactive emotional dyadic motion capture database. Language Resources and Evaluation 42(4), 335-359, 2008. "
    "doi:10.1007/s10579-008-9076-6"
)
LICENCE = "for research, on request from SAIL, University of Southern California (release form)"
URL = "https://sail.usc.edu/iemocap/"
RELEASE = "IEMOCAP_full_release"
LANGUAGE = "en"
TREE = """
Session1/ ... Session5/
  sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav      10,039 files
  dialog/EmoEvaluation/Ses01F_impro01.txt                   labels, votes, valence, activation, dominance, times
  dialog/transcriptions/Ses01F_impro01.txt                  text
"""
# Where the annotators do not agree, the label is xxx.
LABELS = {**by_word("ang", "hap", "exc", "sad", "fru", "fea", "sur", "neu", "dis", "oth"), "xxx": ""}
DIMENSIONS = {"valence": (1, 5), "arousal": (1, 5), "dominance": (1, 5)}
UTTERANCES = 10039
SENTENCES = None
NOTES = (
    "The letter after the session (Ses01F_...) says who wears the markers; who speaks is in the last part (..._M003).",
    "Votes are the evaluators' (C-E lines), without the actors' own (C-F, C-M); of two labels each gets half a vote. --votes "
    "actors takes the actors' own, --votes all both.",
    "Valence, arousal (activation) and dominance are the means of the evaluators, on a scale from 1 to 5.",
    "Half of the dialogues are scripted: their texts recur in all sessions.",
)
# Test speakers of EmoBox's five folds: one session each (Ma et al., Interspeech 2024).
EMOBOX_FOLDS = tuple((f"Ses0{n}F", f"Ses0{n}M") for n in range(1, 6))
WORDS = {
    **by_word("anger", "happiness", "excited", "sadness", "frustration", "fear", "surprise", "neutral", "disgust", "other"),
    "neutral state": "neutral",
}
_UTTERANCE = r"(Ses0(\d)[FM]_\w+_([FM])\d{3}[a-z]?)"
_NAME = re.compile(_UTTERANCE)
_HEAD = re.compile(r"\[(\d+\.\d+) - (\d+\.\d+)\]\s+" + _UTTERANCE + r"\s+(\w{3})\s+\[([\d.]+), ([\d.]+), ([\d.]+)\]")
_SPOKEN = re.compile(_UTTERANCE + r"\s*\[[\d.]+-[\d.]+\]:\s*(.*)$")
_JUDGE = re.compile(r"C-([EFM])\d+:\s*(.*)$")
VOTES_OF = {"evaluators": "E", "actors": "FM", "all": "EFM"}  # whose lines count: `C-E2:`, `C-F1:`, `C-M1:`


def parse(root: Path, votes_of: str = "evaluators") -> Iterator[Row]:
    """Rows of all evaluated utterances, in the order of sessions, dialogues and turns.

    Args:
        votes_of: a name of `VOTES_OF`.

    Raises:
        CorpusError: a label that IEMOCAP does not have.
    """
    audio, texts, evaluations = _files(root)
    used = 0
    for file in sorted(evaluations, key=lambda p: (p.parts[-4:], p.name)):
        rows = _evaluated(read_text(file), file, VOTES_OF[votes_of])
        spoken = _spoken(texts.get(file.stem))
        for turn, (_, name, row) in enumerate(sorted(rows, key=lambda r: r[:2])):
            path = audio.get(name, "")
            used += bool(path)
            yield {**row, "path": path, "text": spoken.get(name, ""), "dialogue": file.stem, "turn": turn}
    left_out(len(audio) - used, "wav files without an evaluation")


def example(root: Path) -> Path:
    name, below = "Ses01F_impro01", root / "Session1"
    for turn in ("F000", "M000"):
        write_tone(below / "sentences" / "wav" / name / f"{name}_{turn}.wav", seconds=0.5)
    write_tone(below / "dialog" / "wav" / f"{name}.wav")  # both speakers: not an utterance
    write_text(below / "dialog" / "EmoEvaluation" / f"{name}.txt", _EXAMPLE_EVALUATION)
    write_text(below / "dialog" / "EmoEvaluation" / "Categorical" / f"{name}_e2_cat.txt", "x :Anger;")
    write_text(below / "dialog" / "transcriptions" / f"{name}.txt", _EXAMPLE_TRANSCRIPT)
    return root


_EXAMPLE_EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[10.0100 - 11.3925]\tSes01F_impro01_M000\txxx\t[2.5000, 2.5000, 3.0000]
C-E2:\tNeutral;\t()
C-E3:\tAnger; Frustration;\t()
C-E4:\tFrustration;\t(tense; annoyed)
C-M1:\tHappiness;\t()
A-E3:\tval 2; act 3; dom  4;\t(guarded; ready)
A-M1:\tval 5; act 5; dom  5;\t()

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.0000, 3.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral state;\t()
C-E4:\tExcited;\t()
C-F1:\tNeutral;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()
"""
_EXAMPLE_TRANSCRIPT = (
    "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\n"
    "M: Yeah.\n"
    "Ses01F_impro01_MXX0 [008.3000-009.0000]: [LAUGHTER]\n"
    "Ses01F_impro01_M000 [010.0100-011.3925]: It's 10:30, isn't it?\n"
)


def _files(root: Path) -> tuple[dict[str, str], dict[str, Path], list[Path]]:
    """Utterance -> wav, in any folder; dialogue -> transcription; evaluation files. Paths may lie deeper than the root."""
    audio: dict[str, str] = {}
    texts: dict[str, Path] = {}
    evaluations: list[Path] = []
    for path in files_below(root, ".wav", ".txt"):
        parts = path.split("/")
        if path.lower().endswith(".wav"):
            if _NAME.fullmatch(stem(path)):
                audio.setdefault(stem(path), path)
        elif parts[-2:-1] == ["EmoEvaluation"]:
            evaluations.append(root / path)
        elif parts[-2:-1] == ["transcriptions"]:
            texts[stem(path)] = root / path
    return audio, texts, evaluations


def _evaluated(text: str, file: Path, judges: str) -> list[tuple[float, str, Row]]:
    """(begin in s, utterance, row) of one evaluation file; votes go to the utterance whose head came last."""
    rows: list[tuple[float, str, Row]] = []
    counts: dict[str, float] = {}
    votes: dict[str, dict[str, float]] = {}
    malformed = 0
    for line in text.splitlines():
        head = _HEAD.match(line)
        if head:
            begin, end, name, session, gender, label = head.groups()[:6]
            counts = votes[name] = {}
            row: Row = {
                "utterance_id": name,
                "label": label,
                "emotion": canonical(LABELS, label, f"{file}: {name}"),
                "valence": head[7],
                "arousal": head[8],
                "dominance": head[9],
                "speaker": f"Ses0{session}{gender}",
                "gender": "female" if gender == "F" else "male",
                "session": f"Ses0{session}",
                "duration": round(float(end) - float(begin), 4),
            }
            rows.append((float(begin), name, row))
        elif line.startswith("[") and "Ses" in line:
            malformed += 1
        else:
            _vote(line, counts, judges)
    left_out(malformed, f"malformed lines of {file.name}")
    for _, _, row in rows:
        row["votes"] = shares(votes[row["utterance_id"]])
    return rows


def _vote(line: str, counts: dict[str, float], judges: str) -> None:
    """Add a judge's line to the counts: `C-E2:\\tAnger; Frustration;\\t()`. Lines of others, and of ratings, are not votes."""
    judge = _JUDGE.match(line)
    if judge is None or judge[1] not in judges:
        return
    words = [w.strip().lower() for w in judge[2].split("(", 1)[0].split(";")]
    named = [WORDS.get(w, "other") for w in words if w]
    for emotion in named:
        counts[emotion] = counts.get(emotion, 0.0) + 1 / len(named)


def _spoken(file: Path | None) -> dict[str, str]:
    """Utterance -> text. The stamp `[006.2901-008.2357]:` is not text; lines without one, and of speakers XX, have no row."""
    lines = read_text(file).splitlines() if file else []
    found = (_SPOKEN.match(line) for line in lines)
    return {match[1]: match[4].strip() for match in found if match}
