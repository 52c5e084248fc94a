"""SUPERB's emotion recognition: four classes of IEMOCAP, five sessions, accuracy (Yang et al., Interspeech 2021)."""

from ser.results.benchmarks import LINEAR, Preset

PRESETS = {
    "superb-er": Preset(
        corpus="iemocap",
        utterances=5531,
        options={**LINEAR, "scheme": "4", "protocol": "session"},
        metric="WA",
        average="folds",
        published={
            "fbank": 0.3539,
            "wav2vec2-base": 0.6343,
            "hubert-base": 0.6492,
            "wavlm-base": 0.6594,
            "wavlm-base-plus": 0.6865,
            "wav2vec2-large": 0.6564,
            "hubert-large": 0.6762,
            "wavlm-large": 0.7062,
        },
        source="Yang et al., SUPERB, Interspeech 2021; Chen et al., WavLM, IEEE JSTSP 2022",
        remarks=(
            "The published systems sum all layers with learned weights: extract with --layers all.",
            "The values of fbank, wav2vec2 and hubert are those of SUPERB's own site (superbbenchmark/website-react, "
            "Data.js); that of wavlm-base-plus was found quoted from the paper's Table I; those of wavlm-base and wavlm-large "
            "were not found at a source: check them before you quote them.",
            "Published folds are sessions, and their validation parts are of the training sessions' own utterances.",
        ),
    )
}
