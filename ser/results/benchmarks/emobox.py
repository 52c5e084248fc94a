"""EmoBox: frozen speech encoders and a small head on 32 corpora, with published folds (Ma et al., Interspeech 2024).

Four corpora have the paper's UA. The others have the WA of its leaderboard for the intra-corpus track (repository
emo-box/emo-box.github.io, leaderboard1.html, commit 3f14667, table "ALL"), which gives no UA of most of them. Folds come with
EmoBox's own files, by `ser metadata --format emobox`; those of four corpora are pinned by their SHA-256.
"""

from ser.results.benchmarks import MLP, Preset

SOURCE = "Ma et al., EmoBox, Interspeech 2024, arXiv 2406.07162"
HEAD = "The head is our mlp; the published one is a projection to 128 numbers, a mean over frames, and a linear layer."
SYSTEMS = ("wav2vec2-base", "hubert-base", "wavlm-base", "whisper-large-v3")
OPTIONS = {**MLP, "protocol": "emobox"}


# Of the test parts, see `Preset`: of the published lists, or the test speakers of a full grid.
SHA256 = {
    "emodb": "708b7976481ec4215174a6f5939058b9ad00afb9c11ab83dda76ec80b6d853c6",
    "emovo": "aaadd479fe93e5198929754f4bcc18c8c8297017c0aaa19605a91a42d8ab7a57",
    "ravdess": "9c6ed11536b0e59318b4fa7c3e3bb72467b8140c7ff66ccd8015f2e2338d54e8",
    "savee": "4b90084d8b11e9039088f62adcfc124834f1bc326d3e6abf61b45bf667580e41",
}


def _of(corpus: str, utterances: int, scheme: str, values: tuple[float, ...], *remarks: str) -> Preset:
    published = dict(zip(SYSTEMS, values, strict=True))
    options, pinned = {**OPTIONS, "scheme": scheme}, SHA256.get(corpus, "")
    return Preset(corpus, utterances, options, "UA", "folds", published, SOURCE, (HEAD, *remarks), sha256=pinned)


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
    "ased": (2474, (96.73, 96.45, 96.19, 94.13, 94.31, 94.28, 93.99, 88.31, 86.34, 88.63)),
    "asvpesd": (13964, (71.52, 65.91, 63.0, 59.78, 58.05, 62.35, 57.57, 56.36, 50.79, 59.12)),
    "cafe": (936, (68.84, 61.33, 58.73, 54.16, 52.33, 58.02, 51.67, 42.85, 42.36, 42.47)),
    "casia": (1200, (59.58, 52.12, 45.3, 47.23, 47.25, 45.57, 43.31, 37.65, 34.72, 39.56)),
    "emns": (1181, (70.58, 84.12, 74.28, 76.25, 69.71, 58.6, 48.39, 48.96, 34.58, 65.27)),
    "emovdb": (6887, (99.37, 99.47, 99.4, 98.77, 98.49, 98.32, 96.09, 94.93, 93.61, 98.03)),
    "emovo": (588, (57.82, 48.82, 45.74, 46.1, 42.39, 45.88, 42.96, 35.66, 32.47, 31.07)),
    "emozionalmente": (6902, (76.91, 75.0, 69.83, 66.3, 63.02, 64.1, 56.22, 53.92, 48.97, 56.69)),
    "enterface": (1263, (97.68, 92.42, 88.17, 79.11, 88.27, 94.02, 90.8, 89.46, 91.62, 64.19)),
    "esd": (35000, (84.62, 79.14, 75.85, 72.41, 72.9, 76.81, 73.4, 72.01, 65.05, 69.17)),
    "jlcorpus": (2400, (66.71, 60.86, 56.62, 51.11, 53.79, 65.14, 54.04, 48.87, 49.29, 45.27)),
    "m3ed": (24437, (49.42, 44.86, 44.49, 42.55, 42.79, 43.02, 41.42, 38.73, 37.32, 43.2)),
    "mead": (31729, (77.34, 82.03, 77.84, 75.71, 72.86, 75.24, 70.64, 68.44, 66.05, 73.57)),
    "meld": (13706, (51.89, 49.31, 46.37, 45.47, 44.71, 47.72, 46.65, 45.74, 45.57, 45.17)),
    "mer2023": (5030, (65.23, 54.77, 50.49, 49.8, 48.71, 46.81, 46.64, 40.27, 43.06, 46.78)),
    "mesd": (862, (69.67, 62.49, 53.67, 47.48, 43.52, 48.45, 44.85, 36.61, 34.35, 62.89)),
    "msppodcast": (73042, (44.1, 40.47, 40.02, 38.7, 37.38, 41.33, 39.97, 37.45, 37.15, 37.15)),
    "oreau": (434, (84.79, 66.29, 64.35, 52.8, 58.06, 64.88, 59.73, 49.12, 55.67, 41.06)),
    "pavoque": (7334, (93.4, 93.4, 92.76, 92.19, 90.84, 92.07, 87.82, 84.89, 85.11, 91.23)),
    "polish": (450, (83.27, 79.29, 70.2, 69.4, 69.31, 74.0, 75.75, 68.05, 71.31, 67.35)),
    "resd": (1396, (55.54, 56.47, 51.51, 52.34, 45.09, 44.64, 44.03, 31.57, 37.9, 53.39)),
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
    options, pinned = {**OPTIONS, "scheme": "native"}, SHA256.get(corpus, "")
    return Preset(corpus, utterances, options, "WA", "folds", published, BOARD, remarks, sha256=pinned)


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
    "emobox-iemocap": _of("iemocap", 5531, "4", (0.583, 0.639, 0.631, 0.735), "Five sessions; excitement counts as happiness."),
    "emobox-cremad": _of(
        "cremad", 7442, "native", (0.620, 0.711, 0.696, 0.768), "One split, which shares speakers between training and test."
    ),
}
