"""Text encoders through transformers: BERT, RoBERTa, DeBERTa, ModernBERT and others of that kind, sentence encoders, decoders.

Devlin et al., NAACL 2019 (BERT, arXiv:1810.04805); Liu et al., 2019 (RoBERTa, arXiv:1907.11692); Conneau et al.,
ACL 2020 (XLM-R, arXiv:1911.02116); Sanh et al., 2019 (DistilBERT, arXiv:1910.01108); He et al., ICLR 2023 (DeBERTa
v3, arXiv:2111.09543); Warner et al., 2024 (ModernBERT, arXiv:2412.13663); Reimers and Gurevych, EMNLP 2019 (sentence encoders,
arXiv:1908.10084); Radford et al., 2019 (GPT-2); Yang et al., 2025 (Qwen3, arXiv:2505.09388).

A text -> tokens `(tokens, dim)`, the special ones included: the first is `[CLS]` (`<s>`), the last `[SEP]` (`</s>`). Utterance
level is the first token's vector (`cls`, the default), the last's (`last`), the mean of all (`mean`), or mean and standard
deviation (`mean,std`), of what frame level keeps. A decoder's first token has read nothing but itself: there the default is
`last`, and `cls` an error. Which models are decoders is found out: the first token's vector does not change with those behind
it. `sentence` is the pooling and the normalisation that the folder of a sentence-transformers model states. Texts are batched
with others of exactly the same number of tokens, so there is no padding. A text longer than the model's limit is cut there,
with a warning.
"""

import threading
import warnings
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser.accelerator import exact, pick_device
from ser.errors import AudioError, ConfigError, EncoderError
from ser.extract.checkpoints import ModelName, is_hub_id, locate_model, parse_model_name
from ser.extract.encoder import Checkpoint, Encoder
from ser.extract.encoders._example import PIECES, SIZES, save_model, save_word_pieces
from ser.extract.hubs import ModelFiles
from ser.extract.models.loading import NEEDS, load_strictly, load_tokenizer, weights_identity
from ser.extract.models.sentence import pool, read_sentence_pooling
from ser.extract.options import (
    DTYPES,
    STATISTICS,
    EncoderOptions,
    chosen_layers,
    refuse_pooled_frames,
    refuse_unused,
    store_name,
)
from ser.extract.provenance import versions
from ser.metadata.ledger import UNKNOWN, TrainingData, all_are
from ser.optional import need

MODALITY = "text"
SOURCE = "Google, Meta AI, Hugging Face, Microsoft, UKP Lab, Answer.AI, OpenAI, Alibaba; through transformers"
LICENCE = "Apache-2.0"
CITATIONS = {  # by the names that they are of
    "bert*": (
        "J. Devlin, M.-W. Chang, K. Lee, K. Toutanova: BERT: Pre-training of Deep Bidirectional Transformers for "
        "Language Understanding. NAACL 2019, 4171-4186. doi:10.18653/v1/N19-1423"
    ),
    "distilbert*": (
        "V. Sanh, L. Debut, J. Chaumond, T. Wolf: DistilBERT, a distilled version of BERT: smaller, faster, "
        "cheaper and lighter. arXiv, 2019. arXiv:1910.01108"
    ),
    "roberta*": ("Y. Liu and others: RoBERTa: A Robustly Optimized BERT Pretraining Approach. arXiv, 2019. arXiv:1907.11692"),
    "xlm-roberta*": (
        "A. Conneau and others: Unsupervised Cross-lingual Representation Learning at Scale. ACL 2020, 8440-8451. "
        "doi:10.18653/v1/2020.acl-main.747"
    ),
    "deberta*": (
        "P. He, J. Gao, W. Chen: DeBERTaV3: Improving DeBERTa using ELECTRA-Style Pre-Training with "
        "Gradient-Disentangled Embedding Sharing. ICLR 2023. arXiv:2111.09543"
    ),
    "modernbert*": (
        "B. Warner and others: Smarter, Better, Faster, Longer: A Modern Bidirectional Encoder for Fast, Memory "
        "Efficient, and Long Context Finetuning and Inference. arXiv, 2024. arXiv:2412.13663"
    ),
    "all-*": (
        "N. Reimers, I. Gurevych: Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks. EMNLP 2019, "
        "3982-3992. arXiv:1908.10084"
    ),
    "gpt2*": (
        "A. Radford, J. Wu, R. Child, D. Luan, D. Amodei, I. Sutskever: Language Models are Unsupervised "
        "Multitask Learners. OpenAI, 2019."
    ),
    "qwen3*": ("A. Yang and others: Qwen3 Technical Report. arXiv, 2025. arXiv:2505.09388"),
}
LEVELS = ("utterance", "frame")
_BOOKS = TrainingData("pre-trained on books and Wikipedia (Devlin et al., NAACL 2019)")
_WEB = TrainingData(
    "pre-trained on text of the web, where the scripts of MELD's series are, and of plays that IEMOCAP reads (papers of the "
    "models)",
    all_are(UNKNOWN, "meld", "iemocap"),
)
_SENTENCES = TrainingData(
    "fine-tuned on pairs of sentences of the web, from models that were trained on text of the web (model cards)",
    all_are(UNKNOWN, "meld", "iemocap"),
)
_UNLISTED = TrainingData("pre-trained on text that is not listed (paper of the model)", otherwise=UNKNOWN)
CHECKPOINTS = {
    "bert": Checkpoint("google-bert/bert-base-uncased", 768, "English, books and Wikipedia", data=_BOOKS),
    "bert-large": Checkpoint("google-bert/bert-large-uncased", 1024, "English, books and Wikipedia", data=_BOOKS),
    "bert-multilingual": Checkpoint("google-bert/bert-base-multilingual-cased", 768, "104 languages, Wikipedia", data=_BOOKS),
    "distilbert": Checkpoint("distilbert/distilbert-base-uncased", 768, "English, distilled from BERT", data=_BOOKS),
    "roberta": Checkpoint("FacebookAI/roberta-base", 768, "English, 160 GB of text", "MIT", data=_WEB),
    "roberta-large": Checkpoint("FacebookAI/roberta-large", 1024, "English, 160 GB of text", "MIT", data=_WEB),
    "xlm-roberta": Checkpoint("FacebookAI/xlm-roberta-base", 768, "100 languages, 2.5 TB of text", "MIT", data=_WEB),
    "xlm-roberta-large": Checkpoint("FacebookAI/xlm-roberta-large", 1024, "100 languages, 2.5 TB of text", "MIT", data=_WEB),
    "deberta": Checkpoint("microsoft/deberta-v3-base", 768, "English, 160 GB of text", "MIT", data=_WEB),
    "deberta-large": Checkpoint("microsoft/deberta-v3-large", 1024, "English, 160 GB of text", "MIT", data=_WEB),
    "modernbert": Checkpoint("answerdotai/ModernBERT-base", 768, "English and code, 2 trillion tokens", data=_UNLISTED),
    "modernbert-large": Checkpoint("answerdotai/ModernBERT-large", 1024, "English and code, 2 trillion tokens", data=_UNLISTED),
    "all-minilm-l6-v2": Checkpoint(
        "sentence-transformers/all-MiniLM-L6-v2", 384, "English sentences: --pooling sentence", data=_SENTENCES
    ),
    "all-mpnet-base-v2": Checkpoint(
        "sentence-transformers/all-mpnet-base-v2", 768, "English sentences: --pooling sentence", data=_SENTENCES
    ),
    "gpt2": Checkpoint("openai-community/gpt2", 768, "a decoder; English, 40 GB of text", "MIT", data=_WEB),
    "qwen3-0.6b": Checkpoint("Qwen/Qwen3-0.6B", 1024, "a decoder; 119 languages, 36 trillion tokens", data=_UNLISTED),
}
TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "spm.model", "sentencepiece.bpe.model", "tokenizer.model")
POOLINGS = ("cls", "mean", STATISTICS, "last", "sentence")
# The pooler is a head over [CLS] that features do not go through.
UNUSED = r"^pooler\."
SAME = 1e-5  # a relative difference below this is rounding
CPU_TOKENS, GPU_TOKENS = 2048, 16384  # in a batch


def accepts(name: str) -> bool:
    """Hub ids and folders of models in general: `load` refuses those that are not text encoders."""
    return is_hub_id(name) or (Path(name).expanduser() / "config.json").is_file()


def load(name: str, options: EncoderOptions) -> "TextEncoder":
    """A text encoder by short name, hub id or folder."""
    need("transformers", "encoders", kind=EncoderError)
    refuse_unused(options, name, layers=[options.layers], pooling=POOLINGS, dtype=DTYPES)
    refuse_pooled_frames(options, name)
    known = parse_model_name(name, "text", CHECKPOINTS)
    found = locate_model(known, options, (*NEEDS, TOKENIZER))
    return TextEncoder(known, found, options)


def example(folder: Path) -> Path:
    """Write a tiny model as `bert-base-uncased`: the pre-training model with its `cls.*` heads, and a `vocab.txt`."""
    from transformers import BertConfig, BertForPreTraining

    config = BertConfig(**SIZES, vocab_size=len(PIECES), max_position_embeddings=24)
    return save_word_pieces(save_model(folder, BertForPreTraining, config), "BertTokenizer")


class TextEncoder(Encoder):
    """A loaded text encoder.

    Attributes:
        limit: tokens that the model has positions for.
        cut: the number of texts that were longer, and cut, so far.
    """

    modality = MODALITY
    equal = True

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        from transformers import AutoModel

        self.tokenizer, self._tokenizing = load_tokenizer(found), threading.Lock()
        self.model = load_strictly(AutoModel, found, options.dtype, UNUSED)
        config = self.model.config
        if getattr(config, "is_encoder_decoder", False) or not hasattr(config, "hidden_size"):
            raise EncoderError(f"{found.model} is not a text encoder", expected="a model such as BERT", found=config.model_type)
        self.level = options.level or "utterance"
        self.width = int(config.hidden_size)
        self.dim = 2 * self.width if self.level == "utterance" and options.pooling == STATISTICS else self.width
        depth = int(config.num_hidden_layers)
        self.layers = chosen_layers(options.layers, depth, self.level)
        self.stacked = self.level == "utterance" and (options.layers == "all" or len(self.layers) > 1)
        self.sentence = read_sentence_pooling(found.folder) if options.pooling == "sentence" else None
        self.limit = token_limit(self.tokenizer, self.model)
        if self.sentence is not None and self.sentence.longest is not None:
            self.limit = min(self.limit, self.sentence.longest)
        self.cut = 0
        self.device = pick_device(options.device)
        self.model.to(self.device)
        usual = "last" if self._is_decoder() else "cls"
        if (options.pooling, usual) == ("cls", "last"):
            raise ConfigError(
                f"{found.model}: --pooling cls: the first token of a decoder has read nothing but itself", expected="last, mean"
            )
        self.name = store_name(name.short, options, "utterance", usual)
        self.pooling = (options.pooling or usual) if self.level == "utterance" else None
        self.hidden_layers = _hidden_layers(self.model, depth, self.layers)
        self.assets = {}
        self.identity = {
            "plugin": "text",
            "model": found.model,
            "revision": found.revision,
            "level": self.level,
            "layers": self.layers,
            "last_layer": depth,
            "pooling": self.pooling,
            "special_tokens": "included",
            "longest": self.limit,
            "dtype": options.dtype,
            **weights_identity(found, "config.json", "tokenizer_config.json", *TOKENIZER),
            **({} if self.sentence is None else {"sentence": asdict(self.sentence)}),
            "versions": versions("torch", "transformers", "tokenizers"),
        }
        if name.checkpoint is not None and name.checkpoint.dim != self.width:
            raise EncoderError(
                f"{found.folder} is not {name.model}", expected=f"{name.checkpoint.dim} features", found=self.width
            )
        probed = self.encode(["A test."])[0]
        if probed.shape[-1] != self.dim:
            raise EncoderError(f"{self.name} gives another dimension", expected=self.dim, found=probed.shape)

    @property
    def budget(self) -> int:
        return CPU_TOKENS if self.device == "cpu" else GPU_TOKENS

    def costs(self, inputs: Sequence[str]) -> list[int]:
        """Tokens of each text."""
        return [min(len(ids), self.limit) for ids in self._tokenized(list(inputs))]

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        ids = self._ids(inputs)
        by_length: dict[int, list[int]] = defaultdict(list)
        for index, tokens in enumerate(ids):
            by_length[len(tokens)].append(index)
        features: dict[int, NDArray[Any]] = {}
        for length, indices in by_length.items():
            size = max(1, self.budget // length)
            for first in range(0, len(indices), size):
                batch = indices[first : first + size]
                features |= zip(batch, self._encode([ids[i] for i in batch]), strict=True)
        return [features[index] for index in range(len(inputs))]

    def _is_decoder(self) -> bool:
        """True where the first token's vector does not depend on those behind it."""
        import torch

        size = int(self.model.get_input_embeddings().num_embeddings)
        texts = torch.tensor([[1, 2, size - 1], [1, size // 2, 3]], device=self.device) % size
        with torch.inference_mode(), exact(self.device):
            first, other = self.model(texts, attention_mask=torch.ones_like(texts)).last_hidden_state[:, 0].float()
        return bool((first - other).norm() <= SAME * first.norm())

    def _tokenized(self, texts: "str | list[str]", **options: Any) -> Any:
        """Ids of a text, or of several. One thread at a time, as a tokenizer's limit holds for all its calls."""
        try:
            with self._tokenizing:
                return self.tokenizer(texts, verbose=False, **options)["input_ids"]
        except MemoryError:
            raise
        except Exception as error:  # of the tokenizers package, which has no class of its own for them
            raise EncoderError(f"{self.name}: its tokenizer does not read texts", found=error) from None

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        for text in texts:
            if not text.strip():
                raise AudioError("there is no text", expected="words", found=repr(text))
        ids: list[list[int]] = self._tokenized(list(texts))
        most = int(self.model.get_input_embeddings().num_embeddings)
        for index, (text, tokens) in enumerate(zip(texts, ids, strict=True)):
            if max(tokens, default=0) >= most:
                raise EncoderError(
                    f"{self.name}: the tokenizer is of another model", expected=f"tokens below {most}", found=max(tokens)
                )
            if len(tokens) > self.limit:
                if not self.cut:  # once is enough
                    first = f"the first has {len(tokens)}: {text[:40]!r}..."
                    said = f"{self.name}: texts of over {self.limit} tokens are cut there; {first}"
                    warnings.warn(said, stacklevel=2)
                self.cut += 1
                ids[index] = self._tokenized(text, truncation=True, max_length=self.limit)
        return ids

    def _encode(self, ids: list[list[int]]) -> list[NDArray[np.float32]]:
        """Texts of one length, each to `(dim,)`, `(layers, dim)` or `(tokens, dim)`."""
        import torch

        tokens = torch.tensor(ids, device=self.device)
        with torch.inference_mode(), exact(self.device):
            states = self._states(tokens)
        layers = torch.stack([state.float() for state in states], dim=1).cpu().numpy()  # (texts, layers, tokens, dim)
        if self.level == "frame":
            return [text[0].copy() for text in layers]
        if self.sentence is not None:
            pooled = self.sentence.pooled(layers)
        elif self.pooling in ("cls", "last"):
            pooled = pool(layers, self.pooling)
        else:
            pooled = layers.mean(axis=2, dtype=np.float64)
        if self.pooling == STATISTICS:
            pooled = np.concatenate([pooled, layers.std(axis=2, dtype=np.float64)], axis=-1)
        return [text if self.stacked else text[0] for text in pooled.astype(np.float32)]

    def _states(self, tokens: Any) -> list[Any]:
        """The chosen layers of texts `(texts, tokens)`, each `(texts, tokens, dim)`."""
        import torch

        seen = torch.ones_like(tokens)
        if self.hidden_layers is not None:
            states: list[Any] = self.hidden_layers.run(lambda: self.model(tokens, attention_mask=seen).last_hidden_state)
            return states
        output = self.model(tokens, attention_mask=seen, output_hidden_states=True)
        depth = self.identity["last_layer"]
        return [output.last_hidden_state if n == depth else output.hidden_states[n] for n in self.layers]


def _hidden_layers(model: Any, depth: int, layers: list[int]) -> Any:
    """The layers that are kept, the model stopping at the highest; None for models whose blocks are not a list."""
    from ser.extract.models.frozen_encoder import HiddenLayers, blocks_of

    blocks = blocks_of(model, depth)
    return None if blocks is None else HiddenLayers(blocks, layers)


def token_limit(tokenizer: Any, model: Any) -> int:
    """The longest text that the model has positions for, special tokens included."""
    positions = int(getattr(model.config, "max_position_embeddings", 512) or 512)
    tables = [module for name, module in model.named_modules() if name.endswith("position_embeddings")]
    paddings = [table.padding_idx for table in tables if getattr(table, "padding_idx", None) is not None]
    if paddings:
        positions -= int(paddings[0]) + 1  # those of RoBERTa and its kin start behind the padding's
    return min(positions, int(tokenizer.model_max_length))
