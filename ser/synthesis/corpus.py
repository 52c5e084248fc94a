"""Synthesised speech as files, in the layout of CREMA-D's release."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from ser.errors import ConfigError, CorpusError
from ser.registry import unknown
from ser.synthesis.phones import SENTENCES, tracks
from ser.synthesis.sound import RATE, record, speak
from ser.synthesis.voices import ACCENTS, EMOTIONS, STRENGTH, Accent, Speaker, speaker, style
from ser.workspace import writing

MARKER = "SYNTHETIC.txt"
NOTICE = "Synthesised by `ser`: no recording of a person."


class Utterance(NamedTuple):
    """The facts in a file's name, such as `1001_IEO_ANG_HI`."""

    actor: int
    sentence: str
    emotion: str
    level: str

    @property
    def name(self) -> str:
        return "_".join(map(str, self))


def plan(accent: str, speakers: int, sentences: int, emotions: Sequence[str] = tuple(EMOTIONS)) -> list[Utterance]:
    """The utterances of a corpus in the order of its file list.

    As in the release, the first sentence has three levels of each emotion but neutral, the others one, unspecified.

    Raises:
        ConfigError: an unknown accent or emotion, or more speakers or sentences than there are.
    """
    if accent not in ACCENTS:
        raise unknown("accent", accent, list(ACCENTS))
    for emotion in emotions:
        if emotion not in EMOTIONS:
            raise unknown("emotion", emotion, list(EMOTIONS))
    if not (1 <= speakers <= 41 and 1 <= sentences <= len(SENTENCES)):
        raise ConfigError(
            "no such synthesised corpus",
            expected=f"1 to 41 speakers, 1 to {len(SENTENCES)} sentences",
            found=f"{speakers} and {sentences}",
        )
    first = ACCENTS[accent].first_actor
    return [
        Utterance(actor, sentence, emotion, level)
        for actor in range(first, first + speakers)
        for sentence in list(SENTENCES)[:sentences]
        for emotion in emotions
        for level in _levels(sentence, emotion)
    ]


def _levels(sentence: str, emotion: str) -> tuple[str, ...]:
    return ("LO", "MD", "HI") if sentence == "IEO" and emotion != "NEU" else ("XX",)


def synthesise(what: Utterance, accent: str, seed: int, who: Speaker | None = None) -> NDArray[np.int16]:
    """The sound of one utterance: it depends on the arguments alone, not on what else is in the corpus.

    Args:
        who: the actor's voice, where it has been made already.

    Returns:
        `(samples,)` at 16 kHz.
    """
    place: Accent = ACCENTS[accent]
    who = who or speaker(seed, what.actor, place)
    codes = [list(table).index(code) for table, code in zip(_CODES, what[1:], strict=True)]
    rng = np.random.default_rng([seed, what.actor, *codes])
    manner = style(who, what.emotion, what.level, place, rng)
    movements = tracks(what.sentence, float(np.exp(np.clip(manner.tempo, -0.6, 0.6))), rng)
    return record(speak(who, manner, movements, rng), place, seed, rng)


_CODES: tuple[Iterable[str], ...] = (SENTENCES, EMOTIONS, STRENGTH)


def make_corpus(
    folder: Path,
    *,
    seed: int,
    speakers: int = 12,
    sentences: int = 5,
    emotions: Sequence[str] = tuple(EMOTIONS),
    accent: str = "studio",
) -> int:
    """Write a corpus of synthesised emotional speech in CREMA-D's layout; an earlier one in the folder is replaced.

    Two corpora of different accents differ in speakers, channel, noise and in how emotions are expressed. The same
    arguments give the same bytes (with the same versions of NumPy and SciPy).

    Args:
        folder: where; made if it is not there. A folder of audio without the marker file is refused.
        seed: of everything that is drawn.
        speakers: half of them male.
        sentences: the number of CREMA-D's twelve.
        emotions: codes: ANG, DIS, FEA, HAP, NEU, SAD.
        accent: a name of `ACCENTS`.

    Returns:
        How many utterances there are.

    Raises:
        ConfigError: as `plan`.
        CorpusError: the folder holds audio that was not made here.
    """
    todo = plan(accent, speakers, sentences, emotions)
    audio = folder / "AudioWAV"
    if audio.exists() and not (folder / MARKER).is_file():
        raise CorpusError(
            f"{folder} holds audio but no {MARKER}: it may be a real corpus",
            action="Choose an empty or a new folder for synthesised speech.",
        )
    audio.mkdir(parents=True, exist_ok=True)
    voices = {actor: speaker(seed, actor, ACCENTS[accent]) for actor in sorted({u.actor for u in todo})}
    _text(folder / MARKER, _marker(seed, accent, len(voices), len(todo)))  # first: no clip is ever without it
    for path in set(audio.glob("*.wav")) - {audio / f"{u.name}.wav" for u in todo}:
        path.unlink()
    for what in todo:
        _write(audio / f"{what.name}.wav", synthesise(what, accent, seed, voices[what.actor]))
    _text(folder / "VideoDemographics.csv", "".join(_demographics(voices)))
    rows = [f'{number},"{what.name}"\n' for number, what in enumerate(todo, start=1)]
    _text(folder / "SentenceFilenames.csv", '"Stimulus_Number","Filename"\n' + "".join(rows))
    return len(todo)


def _demographics(voices: dict[int, Speaker]) -> Iterator[str]:
    yield '"ActorID","Age","Sex","Race","Ethnicity"\n'
    for who in voices.values():
        yield f'{who.actor},{who.age},"{who.sex}","Synthetic","Synthetic"\n'


def _marker(seed: int, accent: str, speakers: int, utterances: int) -> str:
    return (
        f"{NOTICE}\n\n"
        "All audio in this folder was computed from a model of the voice (a pulse source, formant filters, noise).\n"
        "It imitates the layout of CREMA-D and uses its sentences, but holds nothing of that corpus. The actors do\n"
        "not exist. Numbers measured on it show that a program works; they say nothing about people.\n\n"
        f"accent {accent}, seed {seed}, {speakers} speakers, {utterances} utterances, {RATE} Hz\n"
    )


def _text(path: Path, content: str) -> None:
    with writing(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


def _write(path: Path, sound: NDArray[np.int16]) -> None:
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        file.comment = NOTICE
        file.write(sound)
