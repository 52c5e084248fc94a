"""The sentences: CREMA-D's twelve as phones, and the phones as targets of the vocal tract.

Vowel formants are those of men in Peterson & Barney (1952, JASA 24, 175-184); diphthongs, consonants and bursts are
round values chosen after Klatt (1980, JASA 67, 971-995). Phones are written in ARPAbet; `1` marks a vowel with the stress.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import convolve1d

Array = NDArray[np.float64]

HOP_SECONDS = 0.004  # of all tracks
VOWEL_SECONDS = {False: 0.055, True: 0.095}  # without and with the stress


@dataclass(frozen=True)
class Phone:
    """Targets of one phone.

    Attributes:
        formants: F1, F2, F3 in Hz.
        voicing: amplitude of the voice, 0 to 1.
        seconds: its length at an even tempo.
        noise: amplitude of frication or burst, 0 to 1.
        centre: resonance of that noise in Hz.
        closed: share of the phone that is a closure before the burst.
        glide: the formants at the end of a diphthong.
    """

    formants: tuple[int, int, int]
    voicing: float = 1.0
    seconds: float = 0.0
    noise: float = 0.0
    centre: int = 4000
    closed: float = 0.0
    glide: tuple[int, int, int] | None = None


PHONES = {
    "AA": Phone((730, 1090, 2440)),
    "AE": Phone((660, 1720, 2410)),
    "AH": Phone((640, 1190, 2390)),
    "AO": Phone((570, 840, 2410)),
    "EH": Phone((530, 1840, 2480)),
    "ER": Phone((490, 1350, 1690)),
    "IH": Phone((390, 1990, 2550)),
    "IY": Phone((270, 2290, 3010)),
    "UH": Phone((440, 1020, 2240)),
    "UW": Phone((300, 870, 2240)),
    "AW": Phone((730, 1190, 2440), glide=(420, 950, 2300)),
    "AY": Phone((710, 1150, 2440), glide=(350, 2050, 2600)),
    "EY": Phone((500, 1850, 2500), glide=(310, 2200, 2850)),
    "OW": Phone((520, 950, 2350), glide=(360, 830, 2250)),
    "OY": Phone((560, 850, 2400), glide=(350, 2000, 2600)),
    "L": Phone((350, 1000, 2700), 0.7, 0.050),
    "R": Phone((380, 1150, 1500), 0.75, 0.050),
    "W": Phone((300, 650, 2200), 0.7, 0.050),
    "M": Phone((260, 1050, 2200), 0.4, 0.055),
    "N": Phone((260, 1500, 2500), 0.4, 0.050),
    "NG": Phone((270, 1900, 2600), 0.4, 0.055),
    "B": Phone((250, 900, 2150), 0.15, 0.055, 0.15, 1000, 0.75),
    "D": Phone((250, 1650, 2600), 0.15, 0.050, 0.25, 4000, 0.75),
    "G": Phone((250, 1900, 2300), 0.15, 0.055, 0.25, 2200, 0.75),
    "P": Phone((350, 900, 2150), 0.0, 0.075, 0.25, 1000, 0.6),
    "T": Phone((350, 1700, 2600), 0.0, 0.070, 0.45, 4300, 0.6),
    "K": Phone((350, 1850, 2300), 0.0, 0.075, 0.40, 2200, 0.6),
    "F": Phone((340, 1100, 2100), 0.0, 0.080, 0.15, 6500),
    "TH": Phone((320, 1300, 2550), 0.0, 0.075, 0.12, 6000),
    "S": Phone((320, 1400, 2550), 0.0, 0.085, 0.55, 6000),
    "HH": Phone((500, 1500, 2500), 0.0, 0.050, 0.20, 1700),
    "V": Phone((280, 1100, 2100), 0.45, 0.050, 0.07, 6500),
    "DH": Phone((280, 1300, 2550), 0.45, 0.040, 0.06, 6000),
    "Z": Phone((280, 1400, 2550), 0.35, 0.065, 0.30, 6000),
    "JH": Phone((270, 1850, 2600), 0.15, 0.080, 0.40, 3000, 0.45),
}

SENTENCES = {
    "IEO": "IH T S IH L EH1 V AH N AH K L AA1 K",
    "TIE": "DH AE1 T IH Z IH G Z AE1 K T L IY W AH T HH AE1 P AH N D",
    "IOM": "AY M AA N M AY W EY1 T AH DH AH M IY1 T IH NG",
    "IWW": "AY W AH1 N D ER W AH T DH IH1 S IH Z AH B AW1 T",
    "TAI": "DH IY EH1 R P L EY N IH Z AO1 L M OW S T F UH1 L",
    "MTI": "M EY1 B IY T AH M AA1 R OW IH T W IH L B IY K OW1 L D",
    "IWL": "AY W UH D L AY1 K AH N UW1 AH L AA1 R M K L AA K",
    "ITH": "AY TH IH1 NG K AY HH AE V AH D AA1 K T ER Z AH P OY1 N T M AH N T",
    "DFA": "D OW1 N T F ER G EH1 T AH JH AE1 K AH T",
    "ITS": "AY TH IH1 NG K AY V S IY1 N DH IH S B IH F AO1 R",
    "TSI": "DH AH S ER1 F AH S IH Z S L IH1 K",
    "WSI": "W IY L S T AA1 P IH N AH K AH1 P AH L AH V M IH1 N AH T S",
}


@dataclass(frozen=True)
class Tracks:
    """The movement of the vocal tract, one row every `HOP_SECONDS`.

    Attributes:
        formants: F1 to F3 in Hz, of an average man, `(frames, 3)`.
        voicing: amplitude of the voice, `(frames,)`.
        noise: amplitude of frication, `(frames,)`.
        centre: its resonance in Hz, `(frames,)`.
        accents: middle of each stressed vowel in s.
    """

    formants: Array
    voicing: Array
    noise: Array
    centre: Array
    accents: tuple[float, ...]


def tracks(sentence: str, tempo: float, rng: np.random.Generator) -> Tracks:
    """The movements for a sentence, smoothed as neighbouring sounds run into each other.

    Args:
        sentence: a code of `SENTENCES`.
        tempo: factor of all durations.
        rng: lengths vary by some 12 % about their targets, formants by 3 %.
    """
    rows: list[tuple[float, ...]] = [_SILENCE] * round(0.08 / HOP_SECONDS)
    accents: list[float] = []
    words = SENTENCES[sentence].split()
    for position, word in enumerate(words):
        phone, stressed = PHONES[word.rstrip("1")], word.endswith("1")
        seconds = (phone.seconds or VOWEL_SECONDS[stressed]) * tempo * rng.lognormal(0.0, 0.12)
        if position >= len(words) - 2:
            seconds *= 1.3  # the last sounds of an utterance are lengthened
        frames = max(3, round(seconds / HOP_SECONDS))
        if stressed:
            accents.append((len(rows) + frames / 2) * HOP_SECONDS)
        rows += _rows(phone, stressed, frames, rng)
    rows += [(*rows[-1][:3], *_SILENCE[3:])] * round(0.1 / HOP_SECONDS)
    table = np.asarray(rows)
    slow, fast = np.hanning(17)[1:-1], np.hanning(7)[1:-1]
    movements = convolve1d(table[:, [0, 1, 2, 5]], slow / slow.sum(), axis=0, mode="nearest")
    amplitudes = convolve1d(table[:, [3, 4]], fast / fast.sum(), axis=0, mode="nearest")
    return Tracks(movements[:, :3], amplitudes[:, 0], amplitudes[:, 1], movements[:, 3], tuple(accents))


_SILENCE = (500.0, 1500.0, 2500.0, 0.0, 0.0, 4000.0)


def _rows(phone: Phone, stressed: bool, frames: int, rng: np.random.Generator) -> list[tuple[float, ...]]:
    begin = np.asarray(phone.formants) * rng.lognormal(0.0, 0.03, 3)
    end = begin if phone.glide is None else np.asarray(phone.glide) * rng.lognormal(0.0, 0.03, 3)
    voicing = phone.voicing * (1.0 if stressed or phone.seconds else 0.75)
    rows: list[tuple[float, ...]] = []
    for frame in range(frames):
        share = frame / frames
        open_ = share >= phone.closed
        moved = begin + (end - begin) * min(1.0, max(0.0, 1.6 * share - 0.3))
        rows.append((*moved, voicing, phone.noise * open_, phone.centre))
    return rows
