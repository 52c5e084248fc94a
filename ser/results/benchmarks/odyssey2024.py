"""The Odyssey 2024 challenge on MSP-Podcast: eight emotions, or arousal, valence, dominance (Goncalves et al., Odyssey 2024).

The challenge was judged on Test3, whose labels are hidden; here the official parts of the release's own split are used.
"""

from ser.results.benchmarks import MLP, OF_DIMENSIONS, Preset

SOURCE = "Goncalves et al., Odyssey 2024 - Speech Emotion Recognition Challenge: baseline"
HIDDEN = "The published value is of Test3, whose labels are hidden; ours is of the release's labelled test part."
OPTIONS = {**MLP, "protocol": "official"}

PRESETS = {
    "odyssey2024-categorical": Preset(
        "msppodcast",
        None,
        {**OPTIONS, "scheme": "native-without-O"},
        "Macro_F1",
        "pooled",
        {"first place (seven models)": 0.3569, "third place": 0.3441, "baseline": 0.311},
        f"{SOURCE}; abstracts of arXiv 2405.20064 (first) and 2406.10598 (third)",
        (HIDDEN,),
    ),
    "odyssey2024-attributes": Preset(
        "msppodcast",
        None,
        {**OPTIONS, **OF_DIMENSIONS, "scheme": "native", "target": "arousal,valence,dominance"},
        "CCC",
        "pooled",
        {"baseline": 0.520},
        SOURCE,
        (HIDDEN, "0.520 is the mean of the three published values, .577, .577 and .405."),
    ),
}
