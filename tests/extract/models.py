"""Further tiny models of random weights: architectures of a family beside the `example` that its plugin has.

Every builder takes an empty folder, fills it and returns it; the same seed gives the same weights.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from ser.extract.encoders import text, whisper
from ser.extract.encoders._example import PIECES, SIZES, save_model, save_word_pieces

CONV = {"conv_dim": (16,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
STABLE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer", "conv_bias": True}
LANGUAGES = ("en", "de", "fr", "es")


def wav2vec2(folder: Path, *, normalise: bool = True, dtype: str = "float32", **settings: Any) -> Path:
    """As `facebook/wav2vec2-base`: the pretraining model, whose quantizer the encoder has no use for."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForPreTraining

    heads = {"num_codevectors_per_group": 8, "codevector_dim": 16, "proj_codevector_dim": 16}
    return _speech(folder, Wav2Vec2ForPreTraining, Wav2Vec2Config(**SIZES, **CONV, **heads, **settings), normalise, dtype)


def wav2vec2_large(folder: Path) -> Path:
    """As `facebook/wav2vec2-large-lv60` and XLS-R: layer norm in the stem, stable layer norm."""
    return wav2vec2(folder, **STABLE)


def hubert(folder: Path) -> Path:
    from transformers import HubertConfig, HubertModel

    return _speech(folder, HubertModel, HubertConfig(**SIZES, **CONV))


def hubert_batch_norm(folder: Path) -> Path:
    """Batch norm in place of weight norm before the positional convolution, no norm before the projection."""
    from safetensors.torch import load_file, save_file
    from transformers import HubertConfig, HubertModel

    settings = HubertConfig(**SIZES, **CONV, conv_pos_batch_norm=True, feat_proj_layer_norm=False)
    weights = _speech(folder, HubertModel, settings) / "model.safetensors"
    tensors = load_file(weights)
    tensors["encoder.pos_conv_embed.batch_norm.bias"] += 0.1  # what it makes of zeros is not zero, as after training
    save_file(tensors, weights, metadata={"format": "pt"})
    return folder


def mms(folder: Path) -> Path:
    """As `facebook/mms-1b-all`: a small adapter in every block."""
    return wav2vec2(folder, **STABLE, adapter_attn_dim=4)


def wavlm(folder: Path) -> Path:
    """As `microsoft/wavlm-base`, which does not normalise the waveform."""
    from transformers import WavLMConfig, WavLMModel

    return _speech(folder, WavLMModel, WavLMConfig(**SIZES, **CONV), normalise=False)


def wavlm_stable(folder: Path) -> Path:
    """As `microsoft/wavlm-large`: norms before the blocks' parts."""
    from transformers import WavLMConfig, WavLMModel

    return _speech(folder, WavLMModel, WavLMConfig(**SIZES, **CONV, **STABLE))


def data2vec(folder: Path) -> Path:
    from transformers import Data2VecAudioConfig, Data2VecAudioModel

    return _speech(folder, Data2VecAudioModel, Data2VecAudioConfig(**SIZES, **CONV, conv_pos_kernel_size=5))


def unispeech_sat(folder: Path) -> Path:
    """As `microsoft/unispeech-sat-base`: the pre-training model with its quantizer and its speaker projection."""
    from transformers import UniSpeechSatConfig, UniSpeechSatForPreTraining

    quantizer = {"num_codevectors_per_group": 8, "codevector_dim": 16, "num_clusters": 6}
    return _speech(folder, UniSpeechSatForPreTraining, UniSpeechSatConfig(**SIZES, **CONV, **quantizer))


def whisper_speaking(folder: Path, *, english: bool = False, positions: int = 24, **size: int) -> Path:
    """As `openai/whisper-tiny`, or `-tiny.en`, with all that transcribing takes.

    A byte-level BPE tokenizer with Whisper's special tokens and time stamps, and a generation configuration that lets it say
    letters only. The weights are large, so that texts differ between recordings.

    Args:
        positions: of the decoder: the longest text in tokens.
    """
    from safetensors.torch import load_file, save_file
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    ids = _whisper_tokenizer(folder, english)
    end, start = ids["<|endoftext|>"], ids["<|startoftranscript|>"]
    dims = {"d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48} | size
    special = {"pad_token_id": end, "bos_token_id": end, "eos_token_id": end, "decoder_start_token_id": start}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = WhisperConfig(
        **dims,
        **heads,
        **special,
        vocab_size=len(ids),
        max_target_positions=positions,
        init_std=0.3,
        begin_suppress_tokens=[end],
    )
    save_model(folder, WhisperForConditionalGeneration, config)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    tensors["model.decoder.embed_tokens.weight"][ids["<|0.00|>"] :] *= 0.1  # there are so many that others would have no chance
    save_file(tensors, weights, metadata={"format": "pt"})
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    said = re.compile(r"Ġ?[a-z]+|<\|(\d+\.\d\d|endoftext)\|>")
    quiet = sorted(number for token, number in ids.items() if not said.fullmatch(token))
    settings = {
        **special,
        "is_multilingual": not english,
        "no_timestamps_token_id": ids["<|notimestamps|>"],
        "max_length": positions,
        "max_initial_timestamp_index": 50,
        "suppress_tokens": quiet,
        "begin_suppress_tokens": [end],
        "return_timestamps": False,
    }
    if not english:
        settings["lang_to_id"] = {f"<|{code}|>": ids[f"<|{code}|>"] for code in LANGUAGES}
        settings["task_to_id"] = {task: ids[f"<|{task}|>"] for task in ("transcribe", "translate")}
    (folder / "generation_config.json").write_text(json.dumps(settings))
    return folder


def _whisper_tokenizer(folder: Path, english: bool) -> dict[str, int]:
    """Write `vocab.json` and what belongs to it; returns every token's id."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import WhisperTokenizer

    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer, plain.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    plain.train_from_iterator([" kids are talking by the door", " dogs are sitting by the door"] * 3, trainer)
    content = json.loads(plain.to_str())["model"]
    tokenizer = WhisperTokenizer(vocab=content["vocab"], merges=[tuple(pair) for pair in content["merges"]])
    tasks = ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    languages = [] if english else [f"<|{code}|>" for code in LANGUAGES]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|startoftranscript|>", *languages, *tasks]})
    tokenizer.add_tokens([f"<|{0.02 * k:.2f}|>" for k in range(1501)])
    tokenizer.save_pretrained(folder)
    return dict(tokenizer.get_vocab())


def distilbert(folder: Path) -> Path:
    from transformers import DistilBertConfig, DistilBertForMaskedLM

    size = {"dim": 32, "n_layers": 3, "n_heads": 2, "hidden_dim": 48, "max_position_embeddings": 24}
    save_model(folder, DistilBertForMaskedLM, DistilBertConfig(**size, vocab_size=len(PIECES)))
    return save_word_pieces(folder, "DistilBertTokenizer")


def xlm_roberta(folder: Path) -> Path:
    """As `xlm-roberta-base`: no pooler in the checkpoint, padding has id 1, a unigram `tokenizer.json`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁i", "▁am", "▁so", "▁happy", "▁sad", "▁to", "day", ".", "!", "<mask>"]
    ids = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
    settings = XLMRobertaConfig(**SIZES, **ids, vocab_size=len(pieces), max_position_embeddings=26)
    save_model(folder, XLMRobertaForMaskedLM, settings)
    tokenizer = Tokenizer(models.Unigram([(piece, -float(n)) for n, piece in enumerate(pieces)], unk_id=3))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tokenizer.save(str(folder / "tokenizer.json"))
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    settings_json = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 24, **special}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings_json))
    return folder


def modernbert(folder: Path) -> Path:
    """As `answerdotai/ModernBERT-base`: rotary positions, every third block sees the whole text, others a window."""
    from transformers import BertTokenizer, ModernBertConfig, ModernBertForMaskedLM

    ids = {"pad_token_id": 0, "bos_token_id": 2, "cls_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
    size = {"vocab_size": len(PIECES), "max_position_embeddings": 24, "local_attention": 4}
    save_model(folder, ModernBertForMaskedLM, ModernBertConfig(**SIZES, **size, **ids))
    save_word_pieces(folder, "BertTokenizer")
    BertTokenizer(str(folder / "vocab.txt"))._tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 24}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"pad_token": "[PAD]", "unk_token": "[UNK]"}))
    return folder


def gpt2(folder: Path) -> Path:
    """As `openai-community/gpt2`: a decoder with learned positions."""
    from transformers import GPT2Config, GPT2LMHeadModel

    size = {"n_embd": 32, "n_layer": 3, "n_head": 2, "n_positions": 24, "vocab_size": len(PIECES)}
    save_model(folder, GPT2LMHeadModel, GPT2Config(**size, bos_token_id=2, eos_token_id=3))
    return save_word_pieces(folder, "BertTokenizer")


def qwen3(folder: Path) -> Path:
    """As `Qwen/Qwen3-0.6B`: a decoder with rotary positions and shared key heads."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    size = {"num_key_value_heads": 1, "head_dim": 16, "vocab_size": len(PIECES), "max_position_embeddings": 24}
    save_model(folder, Qwen3ForCausalLM, Qwen3Config(**SIZES, **size))
    return save_word_pieces(folder, "BertTokenizer")


def emotion2vec(folder: Path, model: dict[str, Any] | None = None, audio: dict[str, Any] | None = None) -> Path:
    """In funasr's layout, as `iic/emotion2vec_base`: like the release, the checkpoint has no weights of the decoder.

    Args:
        model, audio: settings that differ from the release's.
    """
    import torch
    from omegaconf import OmegaConf

    folder.mkdir(parents=True, exist_ok=True)
    settings = _emotion2vec_settings() | (model or {})
    settings["modalities"]["audio"] |= audio or {}
    with undisturbed():
        from funasr.models.emotion2vec.model import Emotion2vec

        torch.manual_seed(0)
        state = Emotion2vec(model_conf=settings).state_dict()
        for key, value in state.items():
            if key.endswith("alibi_scale"):
                value.uniform_(0.2, 1.5)
    (folder / "config.yaml").write_text(OmegaConf.to_yaml({"model": "Emotion2vec", "model_conf": settings}))
    torch.save({"model": {key: value for key, value in state.items() if ".decoder." not in key}}, folder / "model.pt")
    files = {"file_path_metas": {"init_param": "model.pt", "config": "config.yaml"}}
    (folder / "configuration.json").write_text(json.dumps({"framework": "pytorch", "model": {"type": "funasr"}, **files}))
    return folder


def emotion2vec_layers(folder: Path) -> Path:
    """As emotion2vec, with a bias of attention for each layer, fewer biased heads, an even kernel, and a first norm."""
    layers = {"learned_alibi_scale_per_layer": True, "num_alibi_heads": 1, "conv_pos_width": 90, "conv_pos_pre_ln": True}
    return emotion2vec(folder, audio=layers)


def emotion2vec_before(folder: Path) -> Path:
    """As emotion2vec, with norms before the blocks' parts, without bias of attention, and a group norm in the stem."""
    return emotion2vec(folder, {"layer_norm_first": True}, {"use_alibi_encoder": False, "extractor_mode": "default"})


def emotion2vec_plus(folder: Path) -> Path:
    """As `iic/emotion2vec_plus_base`: with a layer that classifies, and its labels, one of which is not used."""
    import torch

    emotion2vec(folder)
    state = torch.load(folder / "model.pt")["model"]
    generator = torch.Generator().manual_seed(1)
    state["proj.weight"] = torch.randn(len(TOKENS), 32, generator=generator)
    state["proj.bias"] = torch.randn(len(TOKENS), generator=generator)
    torch.save({"model": state}, folder / "model.pt")
    (folder / "tokens.txt").write_text("\n".join(TOKENS) + "\n", encoding="utf-8")
    with (folder / "config.yaml").open("a") as config:
        config.write("tokenizer: CharTokenizer\ntokenizer_conf:\n  unk_symbol: <unk>\n  split_with_space: true\n")
    files = {"init_param": "model.pt", "config": "config.yaml", "tokenizer_conf": {"token_list": "tokens.txt"}}
    about = {"framework": "pytorch", "model": {"type": "funasr"}, "file_path_metas": files}
    (folder / "configuration.json").write_text(json.dumps(about))
    return folder


TOKENS = ("生气/angry", "开心/happy", "中立/neutral", "unuse_0", "难过/sad", "<unk>")
EMOTION2VEC: dict[str, Callable[[Path], Path]] = {
    "emotion2vec": emotion2vec,
    "emotion2vec-layers": emotion2vec_layers,
    "emotion2vec-before": emotion2vec_before,
}
SPEECH: dict[str, Callable[[Path], Path]] = {
    "wav2vec2": wav2vec2,
    "wav2vec2-large": wav2vec2_large,
    "hubert": hubert,
    "hubert-batch-norm": hubert_batch_norm,
    "mms": mms,
    "wavlm": wavlm,
    "wavlm-stable": wavlm_stable,
    "data2vec": data2vec,
    "unispeech-sat": unispeech_sat,
    "whisper": whisper.example,
}
TEXT: dict[str, Callable[[Path], Path]] = {"bert": text.example, "distilbert": distilbert, "xlm-roberta": xlm_roberta}
TEXT |= {"modernbert": modernbert, "gpt2": gpt2, "qwen3": qwen3}


def _speech(folder: Path, kind: Any, config: Any, normalise: bool = True, dtype: str = "float32") -> Path:
    from transformers import Wav2Vec2FeatureExtractor

    save_model(folder, kind, config, dtype)
    Wav2Vec2FeatureExtractor(do_normalize=normalise).save_pretrained(folder)
    return folder


def _emotion2vec_settings() -> dict[str, Any]:
    blocks = {"start_drop_path_rate": 0.0, "end_drop_path_rate": 0.0}
    decoder = {"input_dropout": 0.1, "decoder_dim": 16, "decoder_groups": 4, "decoder_kernel": 5, "decoder_layers": 2}
    decoder |= {"add_positions_masked": False, "add_positions_all": False, "decoder_residual": True}
    decoder |= {"projection_layers": 1, "projection_ratio": 2.0}
    positions = {"conv_pos_width": 95, "conv_pos_groups": 4, "conv_pos_depth": 5, "conv_pos_pre_ln": False}
    alibi = {"use_alibi_encoder": True, "alibi_scale": 1.0, "learned_alibi": False, "alibi_max_pos": None}
    alibi |= {"learned_alibi_scale": True, "learned_alibi_scale_per_head": True, "learned_alibi_scale_per_layer": False}
    audio = {
        **blocks,
        **positions,
        **alibi,
        "type": "AUDIO",
        "prenet_depth": 2,
        "prenet_layerdrop": 0.05,
        "prenet_dropout": 0.1,
        "num_extra_tokens": 10,
        "init_extra_token_zero": True,
        "model_depth": 2,
        "num_alibi_heads": 2,
        "local_grad_mult": 1.0,
        "extractor_mode": "layer_norm",
        "feature_encoder_spec": "[(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16,2,2)] + [(16,2,2)]",
        "decoder": decoder,
    }
    rates = {"encoder_dropout": 0.1, "attention_dropout": 0.1, "activation_dropout": 0.0, "post_mlp_drop": 0.1}
    return {
        **blocks,
        **rates,
        "dropout_input": 0.0,
        "layerdrop": 0.05,
        "depth": 2,
        "num_heads": 2,
        "embed_dim": 32,
        "mlp_ratio": 2.0,
        "norm_eps": 1e-5,
        "norm_affine": True,
        "layer_norm_first": False,
        "end_of_block_targets": False,
        "average_top_k_layers": 2,
        "clone_batch": 8,
        "loss_beta": 0.0,
        "loss_scale": None,
        "normalize": True,
        "modalities": {"audio": audio},
    }


@contextmanager
def undisturbed() -> Iterator[None]:
    """Undo what importing and building with funasr does to the process: random states, threads, log handlers, prints."""
    import logging
    import random

    import numpy as np
    import torch

    root, threads = logging.getLogger(), torch.get_num_threads()
    handlers, level = list(root.handlers), root.level
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 (the global state is the point)
    try:
        with torch.random.fork_rng(devices=[]), redirect_stdout(StringIO()):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_num_threads(threads)
        root.handlers[:] = handlers
        root.setLevel(level)
