"""EMO-SUPERB: frozen speech encoders, all annotators' votes, macro-F1 of the emotions whose share is above 1 / K.

Wu et al., arXiv 2402.13018. Values: its leaderboard (repository EMOsuperb/emosuperb.github.io, index.html, commit 339ab6c,
columns CREMA-D, IEMOCAP, IMPROV (P), POD (P)). Folds: `data/` of EMOsuperb/EMO-SUPERB-submission: fold k tests session or
group k and validates on the next. CREMA-D's five groups are 18 actors each in the order of their numbers, the last 19.
"""

from itertools import pairwise
from typing import Any

from ser.results.benchmarks import LINEAR, OF_VOTES, Folds, Preset, by

SOURCE = "EMO-SUPERB, leaderboard (emosuperb.github.io); Wu et al., arXiv 2402.13018"
SYSTEMS = (
    "xls-r-1b",
    "wavlm-large",
    "hubert-large",
    "wav2vec2-large-robust",
    "data2vec-large",
    "decoar2",
    "wav2vec2-large",
    "fbank",
)
REMARKS = (
    "The published systems sum all layers with learned weights: extract with --layers all. Their loss weights the classes by "
    "the effective number of samples, ours by frequency.",
    "Published values are means over the batches of the test part; ours is of the whole part.",
)
UNTESTED = "Utterances without a majority are trained on and not tested here; the benchmark tests them too."
_ENDS = (1001, 1019, 1037, 1055, 1073, 1092)
_GROUPS = tuple(frozenset(map(str, range(a, b))) for a, b in pairwise(_ENDS))


def _of(
    corpus: str,
    scheme: str,
    classes: int,
    protocol: str,
    values: tuple[float, ...],
    *remarks: str,
    utterances: int | None = None,
    **pinned: Any,
) -> Preset:
    smoothing = round(0.05 * classes / (classes - 1), 4)  # 0.05 of the votes go to the other classes, as in its files
    options = {**LINEAR, **OF_VOTES, "label_smoothing": smoothing, "scheme": scheme, "protocol": protocol}
    published = dict(zip(SYSTEMS, values, strict=True))
    return Preset(corpus, utterances, options, "F1_1K", "folds", published, SOURCE, (*REMARKS, *remarks), **pinned)


CREMAD: Folds = by("speaker", [(group, _GROUPS[(k + 1) % len(_GROUPS)]) for k, group in enumerate(_GROUPS)])
PRESETS = {
    "emosuperb-cremad": _of(
        "cremad",
        "native",
        6,
        "file",
        (0.676, 0.673, 0.675, 0.672, 0.659, 0.646, 0.669, 0.144),
        "Votes are those of people who heard the voice alone, as in the benchmark, which took them from all responses: the "
        "release's table leaves some out.",
        "Where the last two groups of actors part (1072, 1073) was not looked up; the other ends were.",
        utterances=7442,
        folds=CREMAD,
        votes_of="voice",
        sha256="c2b128d8497e06b2bfc1f9af0115484fa7d1233d1b3cc762ea341b35a99c008f",
    ),
    "emosuperb-iemocap": _of(
        "iemocap", "native-without-oth", 9, "session", (0.329, 0.336, 0.337, 0.339, 0.331, 0.320, 0.306, 0.242), UNTESTED
    ),
    "emosuperb-mspimprov": _of(
        "mspimprov", "4", 4, "session", (0.552, 0.559, 0.553, 0.555, 0.536, 0.512, 0.469, 0.305), UNTESTED
    ),
    "emosuperb-msppodcast": _of(
        "msppodcast",
        "native-without-O",
        8,
        "official",
        (0.331, 0.350, 0.342, 0.331, 0.329, 0.308, 0.321, 0.186),
        UNTESTED,
        "The leaderboard does not say which release of the corpus it is of.",
    ),
}
