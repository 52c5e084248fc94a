"""Full-size models of the true architectures with random weights, saved as their publishers save them.

    python benchmarks/models.py FOLDER [NAME ...]

Speed does not depend on the weights. What is made: wav2vec2-base, wav2vec2-large-lv60, hubert-base, wavlm-base, data2vec-base,
whisper-base, emotion2vec (base), bert.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = 30522


def make(folder: Path, name: str) -> Path:
    """One model in a folder of its name; left alone where it is there."""
    target = folder / name
    if not (target / "done").exists():
        target.mkdir(parents=True, exist_ok=True)
        BUILDERS[name](target)
        (target / "done").touch()
    return target


def speech(kind: str, **settings: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        import transformers

        config = getattr(transformers, f"{kind}Config")(**settings)
        _save(folder, getattr(transformers, f"{kind}Model")(config))
        transformers.Wav2Vec2FeatureExtractor(do_normalize=kind != "WavLM").save_pretrained(folder)

    return build


def whisper(folder: Path) -> None:
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    sizes = {
        "d_model": 512,
        "encoder_layers": 6,
        "decoder_layers": 1,
        "encoder_attention_heads": 8,
        "decoder_attention_heads": 8,
        "encoder_ffn_dim": 2048,
    }
    _save(folder, WhisperModel(WhisperConfig(**sizes)))
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)


def text(kind: str, tokenizer: str, **settings: Any) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        import transformers

        _save(folder, getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**settings)))
        words = WORDS + [f"w{n}" for n in range(VOCABULARY - len(WORDS))]  # so a text of n words has n pieces
        (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
        about = {"tokenizer_class": tokenizer, "do_lower_case": True, "model_max_length": 512}
        (folder / "tokenizer_config.json").write_text(json.dumps(about))

    return build


def emotion2vec(folder: Path) -> None:
    """emotion2vec base as FACTS of its release have it: 12 blocks, 93.8 M parameters without the decoder."""
    import torch
    import yaml

    from ser.extract.models.emotion2vec_network import Emotion2vecNet

    audio = {
        "extractor_mode": "layer_norm", "feature_encoder_spec": "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] * 2",
        "num_extra_tokens": 10, "prenet_depth": 4, "model_depth": 8, "conv_pos_width": 95, "conv_pos_depth": 5,
        "conv_pos_groups": 16, "conv_pos_pre_ln": False, "use_alibi_encoder": True, "alibi_scale": 1.0, "num_alibi_heads": 12,
        "learned_alibi": False, "learned_alibi_scale": True, "learned_alibi_scale_per_head": True,
        "learned_alibi_scale_per_layer": False, "alibi_max_pos": None,
    }  # fmt: skip
    # What only funasr's class asks for.
    rates = ("start_drop_path_rate", "end_drop_path_rate", "prenet_layerdrop", "prenet_dropout")
    audio |= dict.fromkeys(rates, 0.0) | {
        "type": "AUDIO",
        "init_extra_token_zero": True,
        "local_grad_mult": 1.0,
        "decoder": None,
    }
    settings = {"embed_dim": 768, "depth": 8, "num_heads": 12, "mlp_ratio": 4.0, "norm_eps": 1e-5, "norm_affine": True}
    rates = ("encoder_dropout", "attention_dropout", "activation_dropout", "post_mlp_drop", "dropout_input", "layerdrop")
    settings |= dict.fromkeys((*rates, "start_drop_path_rate", "end_drop_path_rate"), 0.0)
    settings |= {"layer_norm_first": False, "end_of_block_targets": False, "normalize": True, "modalities": {"audio": audio}}
    torch.manual_seed(0)
    torch.save({"model": Emotion2vecNet(settings).state_dict()}, folder / "model.pt")
    (folder / "config.yaml").write_text(yaml.safe_dump({"model": "Emotion2vec", "model_conf": settings}))
    files = {"file_path_metas": {"init_param": "model.pt", "config": "config.yaml"}}
    (folder / "configuration.json").write_text(json.dumps({"framework": "pytorch", "model": {"type": "funasr"}, **files}))


def _save(folder: Path, model: Any) -> None:
    model.save_pretrained(folder)


BUILDERS: dict[str, Callable[[Path], None]] = {
    "wav2vec2-base": speech("Wav2Vec2"),
    "wav2vec2-large-lv60": speech("Wav2Vec2", **LARGE, **STABLE),
    "hubert-base": speech("Hubert"),
    "wavlm-base": speech("WavLM"),
    "data2vec-base": speech("Data2VecAudio"),
    "whisper-base": whisper,
    "emotion2vec": emotion2vec,
    "bert": text("Bert", "BertTokenizer"),
}


if __name__ == "__main__":
    for wanted in sys.argv[2:] or BUILDERS:
        print(make(Path(sys.argv[1]), wanted))
