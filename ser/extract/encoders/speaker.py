"""Speaker embeddings, by which speakers are told apart: CAM++, ERes2NetV2 and ECAPA-TDNN, from the checkpoints of 3D-Speaker.

Wang et al., Interspeech 2023 (CAM++, arXiv:2303.00332); Chen et al., Interspeech 2024 (ERes2NetV2, arXiv:2406.02167);
Desplanques et al., Interspeech 2020 (ECAPA-TDNN, arXiv:2005.07143); 3D-Speaker, arXiv:2403.19971. Audio `(samples,)` at 16 kHz
-> Kaldi's 80 log-mel bands every 10 ms, each without its mean over the utterance -> one vector `(dim,)`. There are neither
frames nor layers to choose.

A batch is of utterances of as many frames, so there is no padding. The networks are this package's own, with the parameters'
published names; those of funasr are the reference that a test compares them with.
"""

from pathlib import Path

from ser.errors import EncoderError
from ser.extract.checkpoints import is_hub_id, locate_model, parse_model_name
from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.hubs import hugging_face_cache, hugging_face_hub, modelscope_cache, modelscope_hub
from ser.extract.options import DTYPES, EncoderOptions, refuse_unused
from ser.metadata.ledger import UNKNOWN, TrainingData, all_are

MODALITY = "audio"
SOURCE = "3D-Speaker, Alibaba; weights through ModelScope"
LICENCE = "Apache-2.0"
CITATIONS = {  # by the names that they are of
    "campplus*": (
        "H. Wang, S. Zheng, Y. Chen, L. Cheng, Q. Chen: CAM++: A Fast and Efficient Network for Speaker "
        "Verification Using Context-Aware Masking. Interspeech 2023. arXiv:2303.00332"
    ),
    "eres2net*": (
        "Y. Chen and others: ERes2NetV2: Boosting Short-Duration Speaker Verification Performance with "
        "Computational Efficiency. Interspeech 2024. arXiv:2406.02167"
    ),
    "ecapa*": (
        "B. Desplanques, J. Thienpondt, K. Demuynck: ECAPA-TDNN: Emphasized Channel Attention, Propagation and "
        "Aggregation in TDNN Based Speaker Verification. Interspeech 2020. arXiv:2005.07143"
    ),
}
LEVELS = ("utterance",)
FUNASR_MODELS = ("CAMPPlus", "ERes2NetV2")
_CHINESE = TrainingData("trained on 200,000 Chinese speakers that are not listed (model card)", otherwise=UNKNOWN)
_VOXCELEB = TrainingData(
    "trained on VoxCeleb, interviews on YouTube (model card; Nagrani et al., Interspeech 2017)",
    all_are(UNKNOWN, "meld", "mosei", "urdu", "shemo"),  # cut from broadcasts or YouTube, which may share recordings
)
CHECKPOINTS = {
    "campplus": Checkpoint("iic/speech_campplus_sv_zh-cn_16k-common", 192, "CAM++, Chinese", data=_CHINESE),
    "campplus-voxceleb": Checkpoint("iic/speech_campplus_sv_en_voxceleb_16k", 512, "CAM++, VoxCeleb", data=_VOXCELEB),
    "campplus-zh-en": Checkpoint(
        "iic/speech_campplus_sv_zh_en_16k-common_advanced",
        192,
        "CAM++, Chinese and English",
        data=TrainingData("trained on Chinese and English speakers that are not listed (3D-Speaker)", otherwise=UNKNOWN),
    ),
    "eres2netv2": Checkpoint("iic/speech_eres2netv2_sv_zh-cn_16k-common", 192, "ERes2NetV2, Chinese", data=_CHINESE),
    "ecapa-voxceleb": Checkpoint("iic/speech_ecapa-tdnn_sv_en_voxceleb_16k", 192, "ECAPA-TDNN, VoxCeleb", data=_VOXCELEB),
}
# The weights in the folders of these models, which have other names in each.
FILES = (
    "campplus_cn_common.bin",
    "campplus_cn_en_common.pt",
    "campplus_voxceleb.bin",
    "pretrained_eres2netv2.ckpt",
    "pretrained_eres2netv2w24s4ep4.ckpt",
    "ecapa_tdnn.bin",
    "ecapa-tdnn.ckpt",
)
_NAMES = ("campplus", "eres2netv2", "ecapa-tdnn")


def accepts(name: str) -> bool:
    """Take other models of these networks: a hub id that says so, or a folder with such a file of weights."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        return any((folder / file).is_file() for file in FILES)
    return is_hub_id(name) and any(part in name.lower() for part in _NAMES)


def load(name: str, options: EncoderOptions) -> Encoder:
    """A model of speaker embeddings by short name, hub id or folder."""
    refuse_unused(options, name, pooling=["mean"], dtype=DTYPES)
    known = parse_model_name(name, "speaker", CHECKPOINTS)
    own = known.model.startswith("iic/")
    hubs = (modelscope_cache, modelscope_hub) if own else (hugging_face_cache, hugging_face_hub)
    found = locate_model(known, options, (FILES,), hubs)
    there = [found.folder / file for file in FILES if (found.folder / file).is_file()]
    if len(there) > 1:
        names = ", ".join(file.name for file in there)
        raise EncoderError(f"{found.folder} has the weights of several models", expected="one of them", found=names)
    from ser.extract.models.speaker import Speaker

    return Speaker(known, found, options, there[0])


def example(folder: Path) -> Path:
    """Write a tiny CAM++ model, as `iic/speech_campplus_sv_zh-cn_16k-common`."""
    import torch

    from ser.extract.models.campplus import CamPlusPlus

    shapes = {"head.conv1.weight": (4, 1, 3, 3), "xvector.tdnn.linear.weight": (8, 40, 5)}
    width = 8
    for block in (1, 2, 3):
        for layer in (1, 2):
            shapes[f"xvector.block{block}.tdnnd{layer}.linear1.weight"] = (8, width + 4 * (layer - 1), 1)
            shapes[f"xvector.block{block}.tdnnd{layer}.cam_layer.linear_local.weight"] = (4, 8, 3)
        width = (width + 8) // 2
        shapes[f"xvector.transit{block}.linear.weight"] = (width, 2 * width, 1)
    shapes["xvector.dense.linear.weight"] = (16, 2 * width, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = CamPlusPlus({name: torch.empty(shape) for name, shape in shapes.items()}).state_dict()
        for name, values in state.items():
            if name.endswith("running_var"):
                values.uniform_(0.5, 2)
            elif name.endswith("running_mean"):
                values.normal_(0, 0.2)
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / "campplus_cn_common.bin")
    return folder
