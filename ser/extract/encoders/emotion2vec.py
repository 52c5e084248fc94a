"""emotion2vec and emotion2vec+: speech emotion representations, from the checkpoints that funasr publishes.

Ma et al., Findings of ACL 2024 (arXiv:2312.15185). Audio `(samples,)` at 16 kHz, normalised to zero mean and unit
variance over the utterance (eps 1e-5) -> frames `(1 + (samples - 400) // 320, dim)`, 50 Hz: the encoder's output
after its ten extra tokens.

Batches are exact: an utterance's features are the same alone and beside others. It is normalised before padding, and
the frames of padding are masked in attention and zeroed before each of the five positional convolutions.

The network is this package's own (`ser.extract.models.emotion2vec_network`), with the parameters' published names; funasr's
is the reference that a test compares it with. funasr is not needed to run it, but for its downloader, modelscope.
"""

from pathlib import Path

from ser.extract.checkpoints import is_hub_id, locate_model, parse_model_name
from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.hubs import mirror_cache, mirror_hub, modelscope_cache, modelscope_hub
from ser.extract.options import DTYPES, EncoderOptions, refuse_unused, torch_device

MODALITY = "audio"
SOURCE = "Ma et al., Shanghai Jiao Tong University and Alibaba; weights through funasr's hubs"
LICENCE = "FunASR model licence"
LEVELS = ("utterance", "frame")
_PLUS = "fine-tuned on emotion labels, those of academic corpora first"  # which: ser.metadata.ledger
CHECKPOINTS = {
    "emotion2vec": Checkpoint("iic/emotion2vec_base", 768, "self-supervised, 262 h of emotional English speech"),
    "emotion2vec-base-finetuned": Checkpoint("iic/emotion2vec_base_finetuned", 768, _PLUS),
    "emotion2vec-plus-seed": Checkpoint("iic/emotion2vec_plus_seed", 768, _PLUS),
    "emotion2vec-plus-base": Checkpoint("iic/emotion2vec_plus_base", 768, _PLUS),
    "emotion2vec-plus-large": Checkpoint("iic/emotion2vec_plus_large", 1024, _PLUS),
}
NEEDS = (("config.yaml",),)


def accepts(name: str) -> bool:
    """Other emotion2vec models: a hub id that says so, or a folder in funasr's layout."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return (folder / "config.yaml").is_file() and not (folder / "config.json").is_file()
    return is_hub_id(name) and "emotion2vec" in name.lower()


def load(name: str, options: EncoderOptions) -> Encoder:
    """An emotion2vec model by short name, hub id or folder.

    Raises:
        EncoderError: the files cannot be had, or the checkpoint lacks a weight.
    """
    refuse_unused(options, name, layers=[options.layers], pooling=["mean"], dtype=DTYPES)
    torch_device(options.device)
    known = parse_model_name(name, "emotion2vec", CHECKPOINTS)
    found = locate_model(known, options, NEEDS, (modelscope_cache, mirror_cache, modelscope_hub, mirror_hub))
    from ser.extract.models.emotion2vec import Emotion2vec

    return Emotion2vec(known, found, options)
