"""EmoBox: frozen speech encoders and a small head on 32 corpora, with published folds (Ma et al., Interspeech 2024).

Four corpora have the paper's UA. The others, whose folds come with EmoBox's own files, have the WA of its leaderboard for the
intra-corpus track (repository emo-box/emo-box.github.io, leaderboard1.html), which gives no UA of most of them.
"""

from ser.results.benchmarks import MLP, Preset

SOURCE = "Ma et al., EmoBox, Interspeech 2024, arXiv 2406.07162"
HEAD = "The head is our mlp; the published one is a projection to 128 numbers, a mean over frames, and a linear layer."
SYSTEMS = ("wav2vec2-base", "hubert-base", "wavlm-base", "whisper-large-v3")
OPTIONS = {**MLP, "protocol": "emobox"}


def _of(corpus: str, utterances: int, scheme: str, values: tuple[float, ...], *remarks: str) -> Preset:
    published = dict(zip(SYSTEMS, values, strict=True))
    return Preset(corpus, utterances, {**OPTIONS, "scheme": scheme}, "UA", "folds", published, SOURCE, (HEAD, *remarks))


BOARD = "EmoBox, leaderboard of the intra-corpus track (emo-box.github.io)"
BOARD_SYSTEMS = (
    "whisper-large-v3",
    "wavlm-large",
    "hubert-large",
    "hubert-base",
    "wavlm-base",
    "data2vec2-large",
    "data2vec2-base",
    "data2vec-large",
    "data2vec-base",
    "wav2vec2-base",
)
# Corpus -> utterances, and the WA of each system in percent.
LEADERBOARD: dict[str, tuple[int, tuple[float, ...]]] = {
    "aesdd": (604, (79.18, 84.49, 78.9, 82.35, 79.08, 72.34, 46.68, 45.69, 50.03, 67.65)),
    "cafe": (936, (68.84, 61.33, 58.73, 54.16, 52.33, 58.02, 51.67, 42.85, 42.36, 42.47)),
    "emovo": (588, (57.82, 48.82, 45.74, 46.1, 42.39, 45.88, 42.96, 35.66, 32.47, 31.07)),
    "emozionalmente": (6902, (76.91, 75.0, 69.83, 66.3, 63.02, 64.1, 56.22, 53.92, 48.97, 56.69)),
    "esd": (35000, (84.62, 79.14, 75.85, 72.41, 72.9, 76.81, 73.4, 72.01, 65.05, 69.17)),
    "jlcorpus": (2400, (66.71, 60.86, 56.62, 51.11, 53.79, 65.14, 54.04, 48.87, 49.29, 45.27)),
    "meld": (13706, (51.89, 49.31, 46.37, 45.47, 44.71, 47.72, 46.65, 45.74, 45.57, 45.17)),
    "savee": (480, (77.24, 70.8, 75.05, 59.85, 67.05, 78.59, 75.5, 71.45, 78.25, 49.83)),
    "shemo": (2838, (89.55, 87.13, 83.35, 81.17, 78.76, 82.68, 79.03, 74.09, 70.07, 78.96)),
    "subesco": (7000, (73.05, 65.33, 64.53, 57.89, 57.06, 66.45, 57.97, 53.06, 46.22, 51.25)),
    "tess": (2800, (99.96, 99.78, 99.86, 99.62, 99.1, 99.54, 98.55, 96.89, 94.67, 97.92)),
    "turevdb": (1735, (81.58, 80.09, 72.08, 73.26, 70.51, 64.13, 63.69, 55.11, 52.58, 68.01)),
    "urdu": (400, (82.52, 86.61, 81.75, 88.41, 82.82, 78.1, 69.97, 64.81, 65.42, 87.5)),
}


def _of_leaderboard(corpus: str, utterances: int, percents: tuple[float, ...]) -> Preset:
    published = {name: round(value / 100, 4) for name, value in zip(BOARD_SYSTEMS, percents, strict=True)}
    remarks = (HEAD, "The value is the mean accuracy (WA), which the leaderboard ranks by.")
    return Preset(corpus, utterances, {**OPTIONS, "scheme": "native"}, "WA", "folds", published, BOARD, remarks)


PRESETS = {
    **{f"emobox-{name}": _of_leaderboard(name, count, values) for name, (count, values) in LEADERBOARD.items()},
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
