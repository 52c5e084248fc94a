"""The challenge at Interspeech 2025 on MSP-Podcast: eight emotions by macro-F1, or attributes by CCC (Naini et al., 2025).

It was judged on a hidden test set; here the official parts of the release's own split are used. The published values are those
that teams state of the hidden set in their abstracts.
"""

from ser.results.benchmarks import MLP, OF_DIMENSIONS, Preset

HIDDEN = "The published values are of a hidden test set, and of ensembles; ours is of the release's labelled test part."
OPTIONS = {**MLP, "protocol": "official"}

PRESETS = {
    "interspeech2025-categorical": Preset(
        "msppodcast",
        None,
        {**OPTIONS, "scheme": "native-without-O"},
        "Macro_F1",
        "pooled",
        {
            "mater (fourth place)": 0.4101,
            "cross-modal stacking": 0.4094,
            "graph-based fusion": 0.3979,
            "attentive pooling": 0.3649,
        },
        "abstracts of arXiv 2506.19887 (MATER), 2505.20007, 2506.02088 and 2506.15754",
        (HIDDEN,),
    ),
    "interspeech2025-attributes": Preset(
        "msppodcast",
        None,
        {**OPTIONS, **OF_DIMENSIONS, "scheme": "native", "target": "arousal,valence,dominance"},
        "CCC",
        "pooled",
        {"mater (fourth place)": 0.5928},
        "abstract of arXiv 2506.19887 (MATER)",
        (HIDDEN,),
    ),
}
