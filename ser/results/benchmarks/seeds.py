"""Tables in READMEs of unpublished systems that this program was begun with, and what is doubtful in them.

Two of the five have a table that a preset can stand beside; the others state no test score, or one of classes of their own.
"""

from ser.results.benchmarks import MLP, Preset

PRESETS = {
    "seeds-iemocap-fusion": Preset(
        "iemocap",
        5531,
        {**MLP, "scheme": "4", "protocol": "seed1"},
        "UA",
        "pooled",
        {"emotion2vec and BERT, cross-attention": 0.9002},
        "README of an unpublished system: IEMOCAP, four classes, sessions 1 to 3, 4 and 5",
        (
            "In its own table audio alone has 0.933 on validation data and the full model 0.933: the text adds nothing.",
            "The audio encoder was trained for emotion, and may have seen IEMOCAP: see the stamps of a result with it.",
            "One session of two speakers is tested: the interval over speakers says little.",
        ),
    ),
    "seeds-iemocap-augmentation": Preset(
        "iemocap",
        5531,
        {**MLP, "scheme": "4", "protocol": "session"},
        "Macro_F1",
        "folds",
        {
            "cross-attention fusion": 0.700,
            "cross-attention fusion, augmented by the true label": 0.927,
            "resnet18, speech alone": 0.613,
        },
        "README of an unpublished system: IEMOCAP, four classes, five folds by session",
        (
            "0.927 is with augmentation that is chosen by the true emotion. On test data it gives the label away; the table "
            "does not say that test data were left as they are; without it the same system has 0.700.",
            "Its counts of the classes (1103, 1200, 1665, 1563) are not those of these 5531 utterances (anger 1103, happiness "
            "with excitement 1636, sadness 1084, neutral 1708).",
        ),
    ),
}
