"""The audio tower of CLAP, through transformers.

Wu et al., ICASSP 2023 (LAION's CLAP, arXiv:2211.06687); Chen et al., ICASSP 2022 (HTS-AT, the tower, arXiv:2202.00874): a Swin
transformer over a log-mel spectrogram, trained so that sounds and their captions are alike. Audio `(samples,)` at 48 kHz, where
shorter repeated to 10 s as published -> the tower's pooled output `(dim,)`. Longer audio is read in windows of 10 s, whose mean
is taken (the published extractor takes 10 s of it at random). Its stages halve time and frequency, so there are neither frames
nor layers to choose.
"""

from pathlib import Path

from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.encoders._example import save_model
from ser.extract.models.loading import find_model
from ser.extract.options import EncoderOptions
from ser.metadata.ledger import UNKNOWN, TrainingData, all_are

MODALITY = "audio"
SOURCE = "LAION; through transformers"
LICENCE = "Apache-2.0"
CITATION = (
    "Y. Wu, K. Chen, T. Zhang, Y. Hui, T. Berg-Kirkpatrick, S. Dubnov: Large-Scale Contrastive Language-Audio "
    "Pretraining with Feature Fusion and Keyword-to-Caption Augmentation. ICASSP 2023. arXiv:2211.06687"
)
LEVELS = ("utterance",)
MODEL_TYPES = ("clap", "clap_audio_model")
_LAION = TrainingData(
    "trained on captioned sounds: LAION-Audio-630K, Clotho and AudioCaps, clips of YouTube (Wu et al., ICASSP 2023)",
    all_are(UNKNOWN, "meld", "urdu", "shemo"),  # cut from broadcasts: data of the web may hold the same recordings
)
CHECKPOINTS = {"clap": Checkpoint("laion/clap-htsat-unfused", 768, "630,000 captioned sounds and music", data=_LAION)}


def load(name: str, options: EncoderOptions) -> Encoder:
    """A CLAP model by short name, hub id or folder."""
    known, found = find_model(name, options, "clap", CHECKPOINTS, MODEL_TYPES, "a CLAP model", pooling=["mean"])
    from ser.extract.models.clap import Clap

    return Clap(known, found, options)


def example(folder: Path) -> Path:
    """Write a tiny model as `laion/clap-htsat-unfused`: the towers of audio and text, with windows of 1 s."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel

    heads = {"num_attention_heads": [2, 4], "depths": [2, 2], "patch_embeds_hidden_size": 16}
    audio = {**heads, "hidden_size": 32, "spec_size": 128, "num_hidden_layers": 2}
    text = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48, "vocab_size": 60}
    save_model(folder, ClapModel, ClapConfig(audio_config=audio, text_config=text, projection_dim=16))
    ClapFeatureExtractor(max_length_s=1, truncation="rand_trunc").save_pretrained(folder)
    return folder
