"""EmoBox: frozen speech encoders and a small head on 32 corpora, with published folds (Ma et al., Interspeech 2024).

Four of its corpora have their published values here; the folds of the others come with `ser store import` and protocol emobox.
"""

from ser.results.benchmarks import Preset

SOURCE = "Ma et al., EmoBox, Interspeech 2024, arXiv 2406.07162"
HEAD = "The head is our mlp; the published one is a projection to 128 numbers, a mean over frames, and a linear layer."
SYSTEMS = ("wav2vec2-base", "hubert-base", "wavlm-base", "whisper-large-v3")
OPTIONS = {"protocol": "emobox", "head": "mlp", "normalize": "train", "split_seed": 0, "seed": 0}


def _of(corpus: str, utterances: int, scheme: str, values: tuple[float, ...], *remarks: str) -> Preset:
    published = dict(zip(SYSTEMS, values, strict=True))
    return Preset(corpus, utterances, {**OPTIONS, "scheme": scheme}, "UA", "folds", published, SOURCE, (HEAD, *remarks))


PRESETS = {
    "emobox-ravdess": _of("ravdess", 1440, "native", (0.543, 0.654, 0.616, 0.753), "Six folds of four actors each."),
    "emobox-emodb": _of(
        "emodb",
        535,
        "native",
        (0.821, 0.877, 0.870, 0.913),
        "The folds share all ten speakers between training and test: quote one speaker out beside it (--protocol speaker).",
    ),
    "emobox-iemocap": _of(
        "iemocap", 5531, "4", (0.583, 0.639, 0.631, 0.735), "Five sessions; excitement counts as happiness."
    ),
    "emobox-cremad": _of(
        "cremad",
        7442,
        "native",
        (0.620, 0.711, 0.696, 0.768),
        "One split, which shares speakers between training and test.",
    ),
}
