"""Tiny models for tests: a plugin's `example(folder)` writes one of its architecture, as its publishers save theirs."""

import json
from pathlib import Path
from typing import Any

# Of transformers' configurations: small enough that a test builds a model in a fraction of a second.
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48}
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "i", "am", "so", "happy", "sad", "to", "##day", ".", "!", "un"]


def save_model(folder: Path, kind: Any, config: Any, dtype: str = "float32") -> Path:
    """Write a transformers model with random weights; the same configuration gives the same weights.

    Args:
        kind: the model's class.
        config: its configuration.
        dtype: of the weights that are written.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        kind(config).to(getattr(torch, dtype)).save_pretrained(folder)
    return folder


def save_word_pieces(folder: Path, tokenizer: str) -> Path:
    """Write a vocabulary of `PIECES` for a tokenizer's class, such as `BertTokenizer`."""
    (folder / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    settings = {"tokenizer_class": tokenizer, "do_lower_case": True, "model_max_length": 24}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder
