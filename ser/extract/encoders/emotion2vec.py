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
from ser.extract.options import DTYPES, STATISTICS, EncoderOptions, refuse_unused
from ser.metadata.ledger import FINE_TUNING, PRE_TRAINING, UNKNOWN, TrainingData, all_are

MODALITY = "audio"
SOURCE = "Ma et al., Shanghai Jiao Tong University and Alibaba; weights through funasr's hubs"
LICENCE = "FunASR model licence"
CITATION = (
    "Z. Ma, Z. Zheng, J. Ye, J. Li, Z. Gao, S. Zhang, X. Chen: emotion2vec: Self-Supervised Pre-Training for "
    "Speech Emotion Representation. Findings of ACL 2024. arXiv:2312.15185"
)
LEVELS = ("utterance", "frame")
LAYERS = "all"
FUNASR_MODELS = ("Emotion2vec",)
_PLUS = "fine-tuned on emotion labels, those of academic corpora first"
# The corpora of the EmoBox benchmark, as far as they have a plugin here or are often met.
EMOBOX = (
    "aesdd", "ased", "asvpesd", "cafe", "casia", "cremad", "emns", "emodb", "emovdb", "emovo", "emozionalmente", "enterface",
    "esd", "iemocap", "jlcorpus", "m3ed", "mead", "meld", "mer2023", "mesd", "msppodcast", "oreau", "pavoque", "polish",
    "ravdess", "resd", "savee", "shemo", "subesco", "tess", "turevdb", "urdu",
)  # fmt: skip
# 262 h of English in all. The first round of fine-tuning gave the labels of the later ones.
_PRE_TRAINED = all_are(PRE_TRAINING, "iemocap", "meld", "mead", "mosei", "msppodcast")
_ROUNDS = (
    "; then on speech from elsewhere with labels that the first round gave, which is not listed (model card of "
    "emotion2vec+; github.com/ddlBoJack/emotion2vec)"
)
_SEED = "fine-tuned on 201 h of the EmoBox benchmark's 294 h, which of them is not said (model card of emotion2vec+)"
_FINETUNED = "fine-tuned in rounds, the first on academic emotion corpora that are not named"
_DATA_BASE = TrainingData(
    "pre-trained on 262 h of five English corpora, from data2vec (Ma et al., Findings of ACL 2024)", _PRE_TRAINED
)
_DATA_FINETUNED = TrainingData(
    _FINETUNED + _ROUNDS, _PRE_TRAINED | all_are(FINE_TUNING, "iemocap", "cremad", "meld", "ravdess"), UNKNOWN
)
_DATA_SEED = TrainingData(_SEED, _PRE_TRAINED | all_are(FINE_TUNING, *EMOBOX))
_DATA_PLUS = TrainingData(
    "fine-tuned in rounds, the first on the EmoBox benchmark" + _ROUNDS, _PRE_TRAINED | all_are(FINE_TUNING, *EMOBOX), UNKNOWN
)
CHECKPOINTS = {
    "emotion2vec": Checkpoint(
        "iic/emotion2vec_base", 768, "self-supervised, 262 h of emotional English speech", data=_DATA_BASE
    ),
    "emotion2vec-base-finetuned": Checkpoint("iic/emotion2vec_base_finetuned", 768, _PLUS, data=_DATA_FINETUNED),
    "emotion2vec-plus-seed": Checkpoint("iic/emotion2vec_plus_seed", 768, _PLUS, data=_DATA_SEED),
    "emotion2vec-plus-base": Checkpoint("iic/emotion2vec_plus_base", 768, _PLUS, data=_DATA_PLUS),
    "emotion2vec-plus-large": Checkpoint("iic/emotion2vec_plus_large", 1024, _PLUS, data=_DATA_PLUS),
}
NEEDS = (("config.yaml",),)
# Of the models called plus, in the order of their classifier.
LABELS = (
    "生气/angry",
    "厌恶/disgusted",
    "恐惧/fearful",
    "开心/happy",
    "中立/neutral",
    "其他/other",
    "难过/sad",
    "吃惊/surprised",
    "<unk>",
)


def accepts(name: str) -> bool:
    """Take other emotion2vec models: a hub id that says so, or a folder in funasr's layout."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return (folder / "config.yaml").is_file() and not (folder / "config.json").is_file()
    return is_hub_id(name) and "emotion2vec" in name.lower()


def load(name: str, options: EncoderOptions) -> Encoder:
    """An emotion2vec model by short name, hub id or folder."""
    refuse_unused(options, name, layers=[options.layers], pooling=["mean", STATISTICS], dtype=DTYPES)
    known = parse_model_name(name, "emotion2vec", CHECKPOINTS)
    found = locate_model(known, options, NEEDS, (modelscope_cache, mirror_cache, modelscope_hub, mirror_hub))
    from ser.extract.models.emotion2vec import Emotion2vec

    return Emotion2vec(known, found, options)


def example(folder: Path) -> Path:
    """Write a tiny model in funasr's layout, as `iic/emotion2vec_plus_base`: with a classifier, and its labels."""
    import torch
    import yaml

    from ser.extract.models.emotion2vec_network import Emotion2vecNet

    audio = {
        "feature_encoder_spec": "[(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16,2,2)] + [(16,2,2)]",
        "extractor_mode": "layer_norm",
        "conv_pos_width": 95,
        "conv_pos_groups": 4,
        "conv_pos_depth": 5,
        "num_extra_tokens": 10,
        "prenet_depth": 2,
        "model_depth": 2,
        "use_alibi_encoder": True,
        "num_alibi_heads": 2,
        "alibi_scale": 1.0,
        "learned_alibi_scale": True,
        "learned_alibi_scale_per_head": True,
    }
    settings = {
        "embed_dim": 32,
        "depth": 2,
        "num_heads": 2,
        "mlp_ratio": 2.0,
        "norm_eps": 1e-5,
        "normalize": True,
        "modalities": {"audio": audio},
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Emotion2vecNet(settings)
        proj = {"proj.weight": torch.randn(len(LABELS), 32), "proj.bias": torch.randn(len(LABELS))}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": "Emotion2vec", "model_conf": settings}))
    (folder / "tokens.txt").write_text("\n".join(LABELS), encoding="utf-8")
    torch.save({"model": {**network.state_dict(), **proj}}, folder / "model.pt")
    return folder
