"""Self-supervised speech models of the Wav2Vec2 kind, through transformers: Wav2Vec2, XLS-R, MMS, HuBERT, WavLM, data2vec,
UniSpeech-SAT.

Baevski et al., NeurIPS 2020 (wav2vec 2.0, arXiv:2006.11477); Babu et al., Interspeech 2022 (XLS-R,
arXiv:2111.09296); Hsu et al., TASLP 2021 (HuBERT, arXiv:2106.07447); Chen et al., JSTSP 2022 (WavLM,
arXiv:2110.13900); Baevski et al., ICML 2022 (data2vec, arXiv:2202.03555); Chen et al., ICASSP 2022 (UniSpeech-SAT,
arXiv:2110.05752); Pratap et al., JMLR 2024 (MMS, arXiv:2305.13516).

Audio `(samples,)` at 16 kHz -> frames `(1 + (samples - 400) // 320, dim)`, 50 Hz. Waveforms are normalised to zero
mean and unit variance over the utterance where the checkpoint's preprocessor says so, and only there.

Batches are exact: an utterance's features are the same alone and beside others. Normalisation is of each utterance
before padding; the stem is computed utterance by utterance, or with group norms over each utterance's own frames;
the frames of padding are masked in attention and zeroed before every positional convolution (data2vec stacks five,
and what one makes of padding would reach real frames through the next).
"""

from pathlib import Path

from ser.errors import EncoderError
from ser.extract.checkpoints import is_hub_id, locate_model, parse_model_name
from ser.extract.encoder import Checkpoint, Encoder, audio_families
from ser.extract.encoders._example import SIZES, save_model
from ser.extract.hubs import ModelFiles
from ser.extract.models.loading import NEEDS, PREPROCESSOR, model_config
from ser.extract.options import DTYPES, STATISTICS, EncoderOptions, refuse_unused
from ser.metadata.ledger import FINE_TUNING, UNKNOWN, TrainingData, all_are
from ser.optional import need

MODALITY = "audio"
SOURCE = "Meta AI and Microsoft; through transformers"
LICENCE = "Apache-2.0"
CITATIONS = {  # by the names that they are of
    "wav2vec2-*": (
        "A. Baevski, H. Zhou, A. Mohamed, M. Auli: wav2vec 2.0: A Framework for Self-Supervised Learning of "
        "Speech Representations. NeurIPS 2020. arXiv:2006.11477"
    ),
    "wav2vec2-large-robust*": (
        "W.-N. Hsu and others: Robust wav2vec 2.0: Analyzing Domain Shift in Self-Supervised Pre-Training. "
        "Interspeech 2021. arXiv:2104.01027"
    ),
    "*xlsr-53*": (
        "A. Conneau, A. Baevski, R. Collobert, A. Mohamed, M. Auli: Unsupervised Cross-Lingual Representation "
        "Learning for Speech Recognition. Interspeech 2021. arXiv:2006.13979"
    ),
    "*xls-r-*": (
        "A. Babu and others: XLS-R: Self-supervised Cross-lingual Speech Representation Learning at Scale. "
        "Interspeech 2022. arXiv:2111.09296"
    ),
    "mms-*": (
        "V. Pratap and others: Scaling Speech Technology to 1,000+ Languages. Journal of Machine Learning "
        "Research 25, 2024. arXiv:2305.13516"
    ),
    "hubert-*": (
        "W.-N. Hsu, B. Bolte, Y.-H. H. Tsai, K. Lakhotia, R. Salakhutdinov, A. Mohamed: HuBERT: Self-Supervised "
        "Speech Representation Learning by Masked Prediction of Hidden Units. IEEE/ACM Transactions on Audio, "
        "Speech, and Language Processing 29, 3451-3460, 2021. arXiv:2106.07447"
    ),
    "wavlm-*": (
        "S. Chen and others: WavLM: Large-Scale Self-Supervised Pre-Training for Full Stack Speech Processing. "
        "IEEE Journal of Selected Topics in Signal Processing 16(6), 1505-1518, 2022. arXiv:2110.13900"
    ),
    "data2vec-*": (
        "A. Baevski, W.-N. Hsu, Q. Xu, A. Babu, J. Gu, M. Auli: data2vec: A General Framework for Self-supervised "
        "Learning in Speech, Vision and Language. ICML 2022. arXiv:2202.03555"
    ),
    "unispeech-sat-*": (
        "S. Chen and others: UniSpeech-SAT: Universal Speech Representation Learning with Speaker Aware "
        "Pre-Training. ICASSP 2022. arXiv:2110.05752"
    ),
}
LEVELS = ("utterance", "frame")
LAYERS = "all"
_LIBRISPEECH = TrainingData("pre-trained on LibriSpeech, read books (papers of the models)")
_LIBRI_LIGHT = TrainingData("pre-trained on Libri-Light, read books (papers of the models)")
_ROBUST = TrainingData("pre-trained on Libri-Light, Common Voice, Switchboard and Fisher (Hsu et al., Interspeech 2021)")
_WAVLM_PLUS = TrainingData(
    "pre-trained on Libri-Light, VoxPopuli and GigaSpeech, which draws on YouTube (Chen et al., JSTSP 2022)", {"meld": UNKNOWN}
)
_UNISPEECH_SAT = TrainingData(
    "pre-trained on Libri-Light, VoxPopuli and GigaSpeech, which draws on YouTube (Chen et al., ICASSP 2022)", {"meld": UNKNOWN}
)
_XLSR = TrainingData("pre-trained on Multilingual LibriSpeech, Common Voice and BABEL (Conneau et al., Interspeech 2021)")
_XLS_R = TrainingData(
    "pre-trained on VoxPopuli, Multilingual LibriSpeech, Common Voice, BABEL and VoxLingua107, which draws on YouTube "
    "(Babu et al., Interspeech 2022)",
    all_are(UNKNOWN, "meld", "urdu", "shemo"),  # cut from broadcasts: data of the web may hold the same recordings
)
_MMS = TrainingData(
    "pre-trained on readings of the New Testament in over 1,000 languages, Multilingual LibriSpeech, Common Voice, VoxPopuli, "
    "BABEL and VoxLingua107, which draws on YouTube (Pratap et al., JMLR 2024)",
    all_are(UNKNOWN, "meld", "urdu", "shemo"),
)
CHECKPOINTS = {
    "wav2vec2-base": Checkpoint("facebook/wav2vec2-base", 768, "English read speech, LibriSpeech 960 h", data=_LIBRISPEECH),
    "wav2vec2-large": Checkpoint("facebook/wav2vec2-large", 1024, "English read speech, LibriSpeech 960 h", data=_LIBRISPEECH),
    "wav2vec2-large-lv60": Checkpoint(
        "facebook/wav2vec2-large-lv60", 1024, "English read speech, Libri-Light 53,000 h", data=_LIBRI_LIGHT
    ),
    "wav2vec2-large-robust": Checkpoint(
        "facebook/wav2vec2-large-robust", 1024, "English, read and telephone speech", data=_ROBUST
    ),
    "xlsr-53": Checkpoint("facebook/wav2vec2-large-xlsr-53", 1024, "53 languages, 56,000 h", data=_XLSR),
    "xls-r-300m": Checkpoint("facebook/wav2vec2-xls-r-300m", 1024, "128 languages, 436,000 h", data=_XLS_R),
    "xls-r-1b": Checkpoint("facebook/wav2vec2-xls-r-1b", 1280, "128 languages, 436,000 h", data=_XLS_R),
    "mms-300m": Checkpoint("facebook/mms-300m", 1024, "1,406 languages, 491,000 h", "CC-BY-NC-4.0", data=_MMS),
    "mms-1b": Checkpoint("facebook/mms-1b", 1280, "1,406 languages, 491,000 h", "CC-BY-NC-4.0", data=_MMS),
    "hubert-base": Checkpoint("facebook/hubert-base-ls960", 768, "English read speech, LibriSpeech 960 h", data=_LIBRISPEECH),
    "hubert-large": Checkpoint(
        "facebook/hubert-large-ll60k", 1024, "English read speech, Libri-Light 60,000 h", data=_LIBRI_LIGHT
    ),
    "wavlm-base": Checkpoint("microsoft/wavlm-base", 768, "English read speech, LibriSpeech 960 h", "MIT", data=_LIBRISPEECH),
    "wavlm-base-plus": Checkpoint(
        "microsoft/wavlm-base-plus", 768, "English, 94,000 h of read speech, talks, parliament", "MIT", data=_WAVLM_PLUS
    ),
    "wavlm-large": Checkpoint(
        "microsoft/wavlm-large", 1024, "English, 94,000 h of read speech, talks, parliament", "MIT", data=_WAVLM_PLUS
    ),
    "data2vec-base": Checkpoint(
        "facebook/data2vec-audio-base", 768, "English read speech, LibriSpeech 960 h", data=_LIBRISPEECH
    ),
    "data2vec-large": Checkpoint(
        "facebook/data2vec-audio-large", 1024, "English read speech, LibriSpeech 960 h", data=_LIBRISPEECH
    ),
    "unispeech-sat-base": Checkpoint(
        "microsoft/unispeech-sat-base",
        768,
        "English read speech, LibriSpeech 960 h; speakers told apart",
        "CC-BY-SA-3.0",
        data=_LIBRISPEECH,
    ),
    "unispeech-sat-base-plus": Checkpoint(
        "microsoft/unispeech-sat-base-plus",
        768,
        "English, 94,000 h of read speech, talks, parliament; speakers told apart",
        "CC-BY-SA-3.0",
        data=_UNISPEECH_SAT,
    ),
    "unispeech-sat-large": Checkpoint(
        "microsoft/unispeech-sat-large",
        1024,
        "English, 94,000 h of read speech, talks, parliament; speakers told apart",
        "CC-BY-SA-3.0",
        data=_UNISPEECH_SAT,
    ),
}
# Models of other publishers, which start from those above.
_IEMOCAP = TrainingData("fine-tuned on IEMOCAP (SUPERB, Yang et al., Interspeech 2021; SpeechBrain)", {"iemocap": FINE_TUNING})
TRAINING_DATA = {
    "wav2vec2-xls-r-2b": _XLS_R,
    "mms-1b-*": _MMS,  # fine-tuned to transcribe, on parts of the same
    "*-superb-er": _IEMOCAP,
    "emotion-recognition-wav2vec2-iemocap": _IEMOCAP,
    "emotion-diarization-wavlm-large": TrainingData(
        "fine-tuned on five corpora (Wang et al., ASRU 2023; SpeechBrain), from WavLM",
        all_are(FINE_TUNING, "emovdb", "esd", "iemocap", "jlcorpus", "ravdess") | {"meld": UNKNOWN},
    ),
    "wav2vec2-lg-xlsr-en-speech-emotion-recognition": TrainingData(
        "fine-tuned on RAVDESS (model card), from XLSR-53", {"ravdess": FINE_TUNING}
    ),
    "wav2vec2-large-robust-*-ft-emotion-msp-dim": TrainingData(
        "fine-tuned on MSP-Podcast (Wagner et al., TPAMI 2023)", {"msppodcast": FINE_TUNING}
    ),
}
MODEL_TYPES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech-sat")


def accepts(name: str) -> bool:
    """Take hub ids and folders of models in general: `load` looks at their kind."""
    return is_hub_id(name) or _is_model_folder(name)


def _is_model_folder(name: str) -> bool:
    return (Path(name).expanduser() / "config.json").is_file()


def load(name: str, options: EncoderOptions) -> Encoder:
    """A Wav2Vec2-like model by short name, hub id or folder; of another family's kind where the folder or the id holds one."""
    need("transformers", "encoders", kind=EncoderError)
    known = parse_model_name(name, "speech", CHECKPOINTS)
    if known.checkpoint is not None:  # refused before anything is fetched
        _refuse_unused(options, name)
    if known.folder is not None and _is_model_folder(name):
        files = ModelFiles(known.folder, known.model)
        if "model_type" in model_config(files):  # its kind before its files: of another kind others are there
            _kind(files)
    found = locate_model(known, options, (*NEEDS, PREPROCESSOR))
    kind, families = _kind(found), audio_families()
    if kind not in MODEL_TYPES:
        encoder: Encoder = families[kind].load(name, options)
        return encoder
    _refuse_unused(options, name)
    from ser.extract.models.speech import Speech

    return Speech(known, found, options)


def _kind(found: ModelFiles) -> str:
    """The `model_type` of a model that reads audio."""
    kind, families = str(model_config(found).get("model_type")), audio_families()
    if kind not in families:
        raise EncoderError(
            f"{found.model} is not a speech encoder",
            expected=", ".join(sorted(families)),
            found=kind,
            action="Name an encoder of text with --text.",
        )
    return kind


def _refuse_unused(options: EncoderOptions, name: str) -> None:
    refuse_unused(options, name, layers=[options.layers], pooling=["mean", STATISTICS], dtype=DTYPES)


def example(folder: Path) -> Path:
    """Write a tiny model as `facebook/wav2vec2-base`: the pre-training model, whose quantizer the encoder does not use."""
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForPreTraining

    stem = {"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    quantizer = {"num_codevectors_per_group": 8, "codevector_dim": 16, "proj_codevector_dim": 16}
    save_model(folder, Wav2Vec2ForPreTraining, Wav2Vec2Config(**SIZES, **stem, **quantizer))
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder
