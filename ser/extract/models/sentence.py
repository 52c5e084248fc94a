"""The pooling of sentence-transformers models, read from the model's folder as that library reads it.

Reimers and Gurevych, EMNLP 2019 (Sentence-BERT, arXiv:1908.10084). `modules.json` lists what follows the transformer: a
`Pooling`, whose mode is in `config.json` of its folder, and often a `Normalize`. `sentence_bert_config.json` says at how many
tokens texts are cut.
"""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.errors import EncoderError

MODULES = "modules.json"
# Settings of a pooling's `config.json` -> our names.
MODES = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "lasttoken": "last"}
UNIT = 1e-12  # the least length by which torch's normalize divides


@dataclass(frozen=True)
class SentencePooling:
    """The steps behind the transformer of a sentence-transformers model.

    Attributes:
        mode: `cls`, `mean`, `max` or `last`.
        normalised: true where vectors are divided by their length.
        longest: tokens at which a text is cut; None where the folder does not say.
    """

    mode: str
    normalised: bool
    longest: int | None

    def pooled(self, states: NDArray[Any]) -> NDArray[np.float64]:
        """Vectors of texts of one length, `(texts, layers, tokens, dim)` -> `(texts, layers, dim)`."""
        vectors = pool(states, self.mode)
        if not self.normalised:
            return vectors
        lengths: NDArray[np.float64] = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), UNIT)
        return vectors / lengths


def pool(states: NDArray[Any], mode: str) -> NDArray[np.float64]:
    """One vector of the tokens of a text, `(..., tokens, dim)` -> `(..., dim)`."""
    wide: NDArray[np.float64] = states.astype(np.float64)
    if mode in ("cls", "last"):
        return wide[..., 0 if mode == "cls" else -1, :]
    pooled: NDArray[np.float64] = wide.max(axis=-2) if mode == "max" else wide.mean(axis=-2)
    return pooled


def read_sentence_pooling(folder: Path) -> SentencePooling:
    """The pooling that a model's folder states.

    Raises:
        EncoderError: it is not a folder of sentence-transformers, or has parts that are not known here.
    """
    modules = _json(folder / MODULES, list, "Give --pooling cls, mean or last.")
    kinds = [str(module.get("type", "")).rpartition(".")[2] for module in modules if isinstance(module, dict)]
    if kinds[1:] not in (["Pooling"], ["Pooling", "Normalize"]):
        raise EncoderError(
            f"{folder / MODULES} has parts that are not known here",
            expected="Transformer, Pooling, and perhaps Normalize",
            found=", ".join(kinds) or "nothing",
            action="Give --pooling cls, mean or last.",
        )
    prompts = folder / "config_sentence_transformers.json"
    if prompts.is_file() and _json(prompts, dict).get("default_prompt_name"):
        raise EncoderError(
            f"{folder} puts a prompt before each text, which is not known here",
            expected="no default_prompt_name in config_sentence_transformers.json",
            action="Give --pooling cls, mean or last.",
        )
    limits = folder / "sentence_bert_config.json"
    own = _json(limits, dict) if limits.is_file() else {}
    if own.get("do_lower_case"):
        raise EncoderError(
            f"{folder} writes each text in lower case first, which is not known here",
            expected="do_lower_case: false in sentence_bert_config.json",
            action="Give --pooling cls, mean or last.",
        )
    longest = own.get("max_seq_length")
    mode = _mode(folder / str(modules[1].get("path", "")) / "config.json")
    return SentencePooling(mode, len(kinds) == 3, None if longest is None else int(longest))


def _mode(path: Path) -> str:
    """The mode of a pooling's `config.json`; the library's default, the mean, with a warning, where there is none."""
    if not path.is_file():
        warnings.warn(f"{path} is not there: the pooling is the library's default, the mean of tokens", stacklevel=2)
        return "mean"
    settings = _json(path, dict)
    prefix = "pooling_mode_"
    wanted = [key.removeprefix(prefix) for key, value in settings.items() if key.startswith(prefix) and value is True]
    named = settings.get("pooling_mode")  # of later versions
    modes: list[str] = [MODES.get(mode, mode) for mode in wanted] or (
        [str(named).replace("lasttoken", "last")] if named else []
    )
    if len(modes) != 1 or modes[0] not in MODES.values():
        raise EncoderError(
            f"{path} has a pooling that is not known here",
            expected=f"one of {', '.join(MODES.values())}",
            found=", ".join(modes) or "none",
            action="Give --pooling cls, mean or last.",
        )
    return modes[0]


def _json(path: Path, kind: type, action: str | None = None) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EncoderError(f"cannot read {path}", found=error, action=action) from None
    if not isinstance(content, kind):
        raise EncoderError(f"{path} is not what sentence-transformers writes", expected=f"a {kind.__name__}")
    return content
