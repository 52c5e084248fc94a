"""SenseVoice: the encoder of a recogniser of speech, emotion and sound events, from the checkpoint that funasr publishes.

An et al., FunAudioLLM, 2024 (arXiv:2407.04051). Audio `(samples,)` at 16 kHz -> Kaldi's 80 log-mel bands every 10 ms -> seven
neighbours stacked, every sixth kept, normalised by the checkpoint's `am.mvn` -> frames `(ceil(bands / 6), dim)`, 16.7 Hz: the
encoder's output after its four prompts (language not said, event, emotion, numbers as words). Layer 0 is the output of the
first block, which alone changes the width, and layer 69 the last. The dither of funasr's front end, random numbers of about
the least significant bit, is left out.

Batches are exact: the frames of padding are masked in attention, and zeroed before each convolution over time.

The network is this package's own (`ser.extract.models.sensevoice`), with the parameters' published names; funasr's is the
reference that a test compares it with. funasr is not needed to run it.
"""

from pathlib import Path

from ser.extract.checkpoints import is_hub_id, locate_model, parse_model_name
from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.hubs import hugging_face_cache, hugging_face_hub, modelscope_cache, modelscope_hub
from ser.extract.options import DTYPES, STATISTICS, EncoderOptions, refuse_unused
from ser.metadata.ledger import UNKNOWN, TrainingData

MODALITY = "audio"
SOURCE = "FunAudioLLM, Alibaba; weights through funasr's hubs"
LICENCE = "FunASR model licence"
CITATION = (
    "K. An and others: FunAudioLLM: Voice Understanding and Generation Foundation Models for Natural Interaction "
    "Between Humans and LLMs. arXiv, 2024. arXiv:2407.04051"
)
LEVELS = ("utterance", "frame")
LAYERS = "all"
FUNASR_MODELS = ("SenseVoiceSmall",)
_DATA = TrainingData(
    "trained on over 300,000 h of speech that is not listed, with labels of emotion and events that models gave (An et al., "
    "2024)",
    otherwise=UNKNOWN,
)
CHECKPOINTS = {
    "sensevoice-small": Checkpoint("iic/SenseVoiceSmall", 512, "five languages; transcripts, emotion, events", data=_DATA)
}
TRAINING_DATA = {"sensevoice*": _DATA}
NEEDS = (("config.yaml",), ("am.mvn",))


def accepts(name: str) -> bool:
    """Take other SenseVoice models: a hub id that says so."""
    return is_hub_id(name) and "sensevoice" in name.lower()


def load(name: str, options: EncoderOptions) -> Encoder:
    """A SenseVoice model by short name, hub id or folder."""
    refuse_unused(options, name, layers=[options.layers], pooling=["mean", STATISTICS], dtype=DTYPES)
    known = parse_model_name(name, "sensevoice", CHECKPOINTS)
    own = known.model.startswith("iic/")
    hubs = (modelscope_cache, modelscope_hub) if own else (hugging_face_cache, hugging_face_hub)
    found = locate_model(known, options, NEEDS, hubs)
    from ser.extract.models.sensevoice import SenseVoice

    return SenseVoice(known, found, options)


def example(folder: Path) -> Path:
    """Write a tiny model in funasr's layout, as `iic/SenseVoiceSmall`: two parts of blocks, and the layer of tokens."""
    import torch
    import yaml

    from ser.extract.models.sensevoice import EMBEDDINGS, SenseVoiceNet

    encoder = {
        "output_size": 32,
        "attention_heads": 2,
        "linear_units": 48,
        "num_blocks": 3,
        "tp_blocks": 2,
        "dropout_rate": 0.1,
        "input_layer": "pe",
        "pos_enc_class": "SinusoidalPositionEncoder",
        "normalize_before": True,
        "kernel_size": 11,
        "sanm_shfit": 0,
        "selfattention_layer_type": "sanm",
    }
    front = {"fs": 16000, "window": "hamming", "n_mels": 80, "frame_length": 25, "frame_shift": 10, "lfr_m": 7, "lfr_n": 6}
    settings = {"model": "SenseVoiceSmall", "encoder": "SenseVoiceEncoderSmall", "encoder_conf": encoder}
    settings |= {"frontend": "WavFrontend", "frontend_conf": {**front, "cmvn_file": None}, "model_conf": {"sos": 1, "eos": 2}}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = SenseVoiceNet(settings).state_dict()
        ctc = {"ctc.ctc_lo.weight": torch.randn(40, 32), "ctc.ctc_lo.bias": torch.randn(40)}
    assert len(state["embed.weight"]) == EMBEDDINGS
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    torch.save({**state, **ctc}, folder / "model.pt")
    rows = {"AddShift": [-8.0 - 0.01 * k for k in range(560)], "Rescale": [0.2 + 0.0001 * k for k in range(560)]}
    parts = [f"<{n}> 560 560\n<LearnRateCoef> 0 [ {' '.join(map(str, values))} ]\n" for n, values in rows.items()]
    (folder / "am.mvn").write_text("<Nnet>\n<Splice> 560 560\n[ 0 ]\n" + "".join(parts) + "</Nnet>\n")
    return folder
