"""PEFT-SER: splits of four corpora for four emotions, UA (Feng & Narayanan, ACII 2023, arXiv 2306.05350).

Its package tests models that were trained on all four corpora together (repository usc-sail/peft-ser, package/README.md,
commit 01b3259: splits, and the table "Performance", of which the values without adaptation are here). The paper's own table, of
folds of each corpus alone, could not be read at its source.
"""

from ser.results.benchmarks import MLP, Preset, by

SOURCE = "repository usc-sail/peft-ser, package/README.md, Performance without PEFT; Feng & Narayanan, arXiv 2306.05350"
PUBLISHED = {
    "whisper-tiny": 0.6226,
    "whisper-base": 0.6439,
    "whisper-small": 0.6577,
    "wavlm-base-plus": 0.6306,
    "wavlm-large": 0.6854,
}
TOGETHER = (
    "Published are frozen encoders with a head for IEMOCAP, CREMA-D, MSP-IMPROV and MSP-Podcast, tested on their test parts "
    "together: ours is one of these parts, so no difference says anything. Quote the split, not the values."
)


def _actors(first: int, last: int) -> tuple[str, ...]:
    """The speakers of CREMA-D from one number to another, both included."""
    return tuple(map(str, range(first, last + 1)))


OPTIONS = {**MLP, "scheme": "4", "protocol": "file"}


def _preset(
    dataset: str, rows: int | None, column: str, test: tuple[str, ...], validation: tuple[str, ...], *remarks: str
) -> Preset:
    """The split of a corpus by a column of its table, with the values that are published for all corpora together."""
    folds = by(column, [(test, validation)])
    return Preset(dataset, rows, OPTIONS, "UA", "pooled", PUBLISHED, SOURCE, (TOGETHER, *remarks), folds=folds)


PRESETS = {
    "peftser-iemocap": _preset("iemocap", 5531, "session", ("Ses05",), ("Ses04",), "Excitement counts as happiness."),
    "peftser-mspimprov": _preset("mspimprov", None, "session", ("session5",), ("session4",)),
    "peftser-cremad": _preset(
        "cremad",
        None,
        "speaker",
        _actors(1074, 1091),
        _actors(1059, 1073),
        "Published labels are what most viewers named (MultiModalVote; train_split_gen/crema-d.py, commit 5a2b388); ours "
        "are those that were acted, so that rows differ too.",
        "The paper has five folds of this corpus by actor, in order; the package, whose values these are, the one here.",
    ),
}
