"""Word pieces: the ids of a text's tokens, for heads that learn their own embedding (int32 `(tokens, 1)`).

Schuster & Nakajima, ICASSP 2012; as in BERT (Devlin et al., NAACL 2019): text is lower-cased, accents are stripped,
words are split at spaces and punctuation, then into pieces. Id 0 is padding and never given; there are no special
tokens.

`wordpiece` trains its vocabulary on the training part of the corpus: up to 8,000 pieces that occur twice or more.
It is kept in the store and used again. `wordpiece:NAME` takes a published tokenizer (`wordpiece:bert`, a hub id or
a folder); its ids are moved up by one where its id 0 is not the padding.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ser import registry
from ser.errors import AudioError, EncoderError
from ser.extract.checkpoints import locate_model, parse_model_name
from ser.extract.encoder import ENCODERS, Checkpoint, Encoder
from ser.extract.models.loading import load_tokenizer
from ser.extract.options import EncoderOptions, refuse_unused
from ser.extract.provenance import versions
from ser.metadata.ledger import TrainingData
from ser.optional import need

MODALITY = "text"
SOURCE = "Schuster & Nakajima, ICASSP 2012; tokenizers"
LICENCE = "no weights (tokenizers: Apache-2.0)"
CITATION = "M. Schuster, K. Nakajima: Japanese and Korean Voice Search. ICASSP 2012, 5149-5152. doi:10.1109/ICASSP.2012.6289079"
LEVELS = ("frame",)
CHECKPOINTS: dict[str, Checkpoint] = {}
DIM = "1 (an id)"
SIZE = 8000
MIN_FREQUENCY = 2
PADDING, UNKNOWN = "[PAD]", "[UNK]"
ASSET = "tokenizer.json"
TOKENIZER = (("tokenizer.json", "vocab.txt"),)
_VOCABULARY = TrainingData("a vocabulary made of the corpus's own training part, or a published one")
TRAINING_DATA = {"wordpiece": _VOCABULARY, "wordpiece-*": _VOCABULARY}


def accepts(name: str) -> bool:
    """Take `wordpiece:NAME`."""
    return name.startswith("wordpiece:")


def load(name: str, options: EncoderOptions) -> "WordPiece":
    """The encoder of a vocabulary made from the corpus, or of a published one."""
    need("tokenizers", "encoders", kind=EncoderError)
    refuse_unused(options, "wordpiece")
    source = name.partition(":")[2]
    if not source:
        return WordPiece()
    need("transformers", "encoders", kind=EncoderError)
    known = parse_model_name(source, "wordpiece", registry.load(ENCODERS, "text").CHECKPOINTS)
    found = locate_model(known, options, TOKENIZER)
    tokenizer = load_tokenizer(found)
    if not getattr(tokenizer, "is_fast", False):
        raise EncoderError(f"the tokenizer of {known.model} has no fast form", expected="tokenizer.json or vocab.txt")
    encoder = WordPiece(f"wordpiece-{known.short}", found.model, found.revision)
    encoder.use(tokenizer.backend_tokenizer.to_str(), shift=int(tokenizer.pad_token_id != 0))
    return encoder


class WordPiece(Encoder):
    """Texts -> ids. `vocabulary` counts the ids, the padding included."""

    modality = MODALITY
    level = "frame"
    dim = 1
    processes = False  # one call on a corpus takes seconds

    def __init__(self, name: str = "wordpiece", model: str | None = None, revision: str | None = None) -> None:
        self.name = name
        self.tokenizer: Any = None
        self.of_corpus = model is None
        self.shift = 0
        self.assets = {}
        self.identity = {
            "plugin": "wordpiece",
            "model": model,
            "revision": revision,
            "level": "frame",
            "special_tokens": "left out",
            "padding": 0,
            "trained": None if model else {"size": SIZE, "min_frequency": MIN_FREQUENCY, "lower_case": True},
            "versions": versions("tokenizers"),
        }

    def prepare(self, texts: Sequence[str], assets: dict[str, str]) -> None:
        """Take the store's vocabulary, or make one from the texts.

        Raises:
            EncoderError: there are no texts to make it from, or the store's is damaged.
        """
        if ASSET in assets:
            self.use(assets[ASSET], shift=int(assets.get("shift", "0")))
        elif self.tokenizer is None:
            self.use(train(texts), shift=0)

    def use(self, content: str, shift: int) -> None:
        """Set the tokenizer from its JSON.

        Raises:
            EncoderError: it is not a tokenizer.
        """
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str(content)
        except Exception as error:  # the library raises Exception itself
            raise EncoderError("the word-piece tokenizer is damaged", found=str(error)[:200]) from None
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.tokenizer, self.shift = tokenizer, shift
        self.vocabulary = max(tokenizer.get_vocab().values()) + 1 + shift
        self.assets = {ASSET: content, "shift": str(shift)}
        self.identity["tokenizer_sha256"] = hashlib.sha256(content.encode()).hexdigest()
        self.identity["shift"] = shift

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        if self.tokenizer is None:
            raise EncoderError(f"{self.name} has no vocabulary yet", action="Call prepare(texts, assets) first.")
        return [self._encode(text) for text in inputs]

    def _encode(self, text: str) -> NDArray[np.int32]:
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        if not ids:
            raise AudioError("there is no text", expected="words", found=repr(text[:40]))
        return (np.array(ids, dtype=np.int32) + self.shift).reshape(-1, 1)


def train(texts: Sequence[str]) -> str:
    """A WordPiece vocabulary of the texts, as a tokenizer's JSON. The same texts, in any order, give the same bytes.

    Raises:
        EncoderError: there is no text.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    def fresh(model: Any) -> Any:
        tokenizer = Tokenizer(model)
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        return tokenizer

    tokenizer = fresh(models.WordPiece(unk_token=UNKNOWN))
    split = tokenizer.pre_tokenizer.pre_tokenize_str
    words = [word for text in texts for word, _ in split(tokenizer.normalizer.normalize_str(text))]
    if not words:
        raise EncoderError("there are no texts to make a vocabulary from", action="Does the table have text?")
    # The library numbers the pieces `##c` in the order of a randomly seeded hash table and breaks ties between equally
    # frequent pairs by those numbers: vocabularies differ from run to run. Naming them in order beforehand settles it.
    pieces = [f"##{character}" for character in sorted({c for word in words for c in word[1:]})]
    trainer = trainers.WordPieceTrainer(
        vocab_size=SIZE, min_frequency=MIN_FREQUENCY, special_tokens=[PADDING, UNKNOWN, *pieces], show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    # A new one: in the trained one those pieces are special tokens, which would match `##c` in raw text.
    content = fresh(models.WordPiece(tokenizer.get_vocab(), unk_token=UNKNOWN)).to_str()
    return json.dumps(json.loads(content), sort_keys=True, ensure_ascii=False)
