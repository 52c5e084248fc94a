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
OPTIONS = {**MLP, "scheme": "4", "protocol": "file"}

PRESETS = {
    "peftser-iemocap": Preset(
        "iemocap",
        5531,
        OPTIONS,
        "UA",
        "pooled",
        PUBLISHED,
        SOURCE,
        (TOGETHER, "Excitement counts as happiness."),
        folds=by("session", [(("Ses05",), ("Ses04",))]),
    ),
    "peftser-mspimprov": Preset(
        "mspimprov",
        None,
        OPTIONS,
        "UA",
        "pooled",
        PUBLISHED,
        SOURCE,
        (TOGETHER,),
        folds=by("session", [(("session5",), ("session4",))]),
    ),
}
