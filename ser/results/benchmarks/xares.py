"""X-ARES: frozen audio encoders and a linear layer, accuracy (repository jimbozhang/xares, table "MLP Result" of its README).

Its parts lie in its own archives: of CREMA-D 70, 15 and 15 % of all clips, shuffled without a seed and whoever speaks
(`src/tasks/crema_d/make_audio_tar.py`); of RAVDESS four folds, whose rule is not stated. Other versions of the README may have
other values.
"""

from ser.results.benchmarks import LINEAR, Preset

SOURCE = 'repository jimbozhang/xares, README, "MLP Result", commit 01a348d'
SYSTEMS = ("dasheng", "wav2vec2", "whisper", "data2vec")

PRESETS = {
    "xares-cremad": Preset(
        "cremad",
        7442,
        {**LINEAR, "scheme": "native", "protocol": "random"},
        "WA",
        "folds",
        dict(zip(SYSTEMS, (0.767, 0.541, 0.572, 0.523), strict=True)),
        SOURCE,
        (
            "The published split is drawn over clips, so that test speakers are trained on, as in ours of protocol random: "
            "quote speakers apart beside it (--protocol speaker).",
            "The published split is not ours: it lies in an archive of theirs, and its seed was not kept.",
        ),
    ),
    "xares-ravdess": Preset(
        "ravdess",
        1440,
        {**LINEAR, "scheme": "native", "protocol": "speaker", "folds": 4},
        "WA",
        "folds",
        dict(zip(SYSTEMS, (0.749, 0.442, 0.459, 0.467), strict=True)),
        SOURCE,
        (
            "The published four folds lie in an archive of theirs, and their rule is not stated: ours are of whole actors, and "
            "harder if theirs share actors.",
        ),
    ),
}
