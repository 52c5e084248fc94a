"""Whisper as a whole, encoder and decoder, through transformers: speech to text.

Radford et al., ICML 2023 (arXiv:2212.04356). Audio of up to 30 s is one window, padded to that as in training: windows are
of one length, so nothing of a batch reaches its neighbours. Longer audio goes by itself through transformers' long-form
generation, window after window along the time stamps that the model predicts (section 3.8 of the paper). Decoding is greedy,
or a beam search; nothing is sampled, so the same audio gives the same text.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ser import registry
from ser.accelerator import exact, pick_device
from ser.errors import ConfigError, EncoderError
from ser.extract.checkpoints import ModelName, locate_model, parse_model_name
from ser.extract.encoder import ENCODERS
from ser.extract.hubs import ModelFiles
from ser.extract.models.loading import (
    NEEDS,
    PREPROCESSOR,
    load_extractor,
    load_strictly,
    load_tokenizer,
    quiet_transformers,
    refuse_other_kind,
    weights_identity,
)
from ser.extract.options import DTYPES, EncoderOptions, refuse_unused, torch_dtype
from ser.extract.plan import chunks
from ser.extract.provenance import versions
from ser.files import JsonObject
from ser.metadata.parsing import few
from ser.optional import need

TOKENIZER = ("tokenizer.json", "vocab.json")
GENERATION = "generation_config.json"  # which token is which language, which are never said
TABLE, DETECT = "table", "detect"
CPU_BATCH, GPU_BATCH = 8, 64  # windows


@dataclass(frozen=True)
class Spoken:
    """Audio to transcribe.

    Attributes:
        audio: `(samples,)` at the model's rate.
        language: ISO 639-1; "" is detected.
    """

    audio: NDArray[np.float32]
    language: str = ""


def load_transcriber(name: str, options: EncoderOptions, language: str = TABLE, beams: int = 1) -> "Transcriber":
    """A Whisper model by short name, hub id or folder.

    Args:
        options: device, dtype, weights and revision are of use.
        language: `table` (what the table says, else detected), `detect`, or a code for all.
        beams: 1 is greedy.

    Raises:
        ConfigError: a language that the model does not know.
        EncoderError: the files are missing, are of another kind of model, or lack a weight.
    """
    for package in ("transformers", "rapidfuzz"):  # the second for the word error rate, at the end of hours of work
        need(package, "encoders", kind=EncoderError)
    refuse_unused(options, name, dtype=DTYPES)
    pick_device(options.device)
    family = registry.load(ENCODERS, "whisper")
    known = parse_model_name(name, "whisper", family.CHECKPOINTS)
    found = locate_model(known, options, (*NEEDS, PREPROCESSOR, TOKENIZER, (GENERATION,)))
    refuse_other_kind(found, known.model, "a Whisper model", family.MODEL_TYPES)
    return Transcriber(known, found, options, language, beams)


class Transcriber:
    """A loaded model.

    Attributes:
        name: of the text source: `asr-whisper-small`.
        sample_rate: Hz in which it reads audio.
        minimum: samples under which an utterance is refused.
        languages: code -> token; {} of a model that knows English only.
        identity: all that decides the text. JSON-able.
        batch: windows that are transcribed together.
    """

    modality = "audio"
    view = None

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions, language: str, beams: int) -> None:
        from transformers import WhisperForConditionalGeneration

        self.name = f"asr-{name.short}"
        self.model = load_strictly(WhisperForConditionalGeneration, found, options.dtype, r"^proj_out\.")  # tied
        self.extractor, self.tokenizer = load_extractor(found), load_tokenizer(found)
        tokens = getattr(self.model.generation_config, "lang_to_id", None) or {}
        self.languages: dict[str, int] = {str(token).strip("<|>"): int(number) for token, number in tokens.items()}
        known = sorted(self.languages) or ["en"]
        if language not in (TABLE, DETECT, *known):
            raise ConfigError(f"{found.model} does not know the language {language!r}", expected=f"one of {few(known, 8)}")
        self.language, self.beams = language, beams
        self.sample_rate, self.minimum = int(self.extractor.sampling_rate), int(self.extractor.n_fft)
        self.window = int(self.extractor.n_samples)
        self.device = pick_device(options.device)
        self.dtype = torch_dtype(options.dtype)
        self.model.to(self.device)
        self.batch = CPU_BATCH if self.device == "cpu" else GPU_BATCH
        self.identity: JsonObject = {
            "model": found.model,
            "revision": found.revision,
            "language": language,
            "task": "transcribe",
            "decoding": {"beams": beams, "temperature": 0},
            "dtype": options.dtype,
            **weights_identity(found, "config.json", GENERATION, "tokenizer_config.json", *PREPROCESSOR, *TOKENIZER),
            "versions": versions("torch", "transformers", "tokenizers"),
        }

    def language_of(self, code: str) -> str:
        """The language to transcribe an utterance in, where the table says this one: a code, or "" to detect it.

        Raises:
            ConfigError: the model knows English only, and the table says something else.
        """
        if self.language == DETECT:
            return ""
        wanted = code.lower().replace("_", "-").split("-")[0] if self.language == TABLE else self.language
        if not self.languages:
            if wanted not in ("", "en"):
                raise ConfigError(f"{self.name} transcribes English only", found=f"language {wanted} in the table")
            return ""
        return wanted if wanted in self.languages else ""

    def halve(self) -> float:
        """Take half as many windows together from now on; the seconds of audio that are left."""
        self.batch = max(1, self.batch // 2)
        return self.batch * self.window / self.sample_rate

    def encode(self, inputs: Sequence[Spoken]) -> list[tuple[str, str]]:
        """Text and language of each input; they do not depend on the inputs beside it."""
        made: dict[int, tuple[str, str]] = {}
        groups: dict[str, list[int]] = defaultdict(list)
        features = {k: self._features(spoken.audio) for k, spoken in enumerate(inputs)}
        for k, spoken in enumerate(inputs):
            groups[spoken.language or self._detected(features[k])].append(k)
        for language, members in groups.items():
            short = [k for k in members if len(inputs[k].audio) <= self.window]
            long = [[k] for k in members if len(inputs[k].audio) > self.window]
            for batch in [*chunks(short, self.batch), *long]:
                texts = self._generate([features[k] for k in batch], language)
                made |= {k: (text, language) for k, text in zip(batch, texts, strict=True)}
        return [made[k] for k in range(len(inputs))]

    def _features(self, audio: NDArray[np.float32]) -> torch.Tensor:
        """Log-mel `(1, bands, frames)`: those of one window, or of all the audio where that is longer."""
        whole = {} if len(audio) <= self.window else {"truncation": False, "padding": "longest"}
        made = self.extractor(audio, sampling_rate=self.sample_rate, return_tensors="pt", **whole).input_features
        return torch.as_tensor(made).to(self.device, self.dtype)

    def _detected(self, features: Any) -> str:
        """The language that the model takes the first window for; "" where it knows one only."""
        if not self.languages:
            return ""
        frames = self.window // int(self.extractor.hop_length)
        with torch.inference_mode(), exact(self.device), quiet_transformers():
            token = int(self.model.detect_language(features[..., :frames], num_segment_frames=frames)[0])
        return {number: code for code, number in self.languages.items()}[token]

    def _generate(self, features: Sequence[torch.Tensor], language: str) -> list[str]:
        """Texts of features of one shape."""
        stacked = torch.cat(list(features))
        chosen = {"language": language, "task": "transcribe"} if self.languages else {}
        long = stacked.shape[-1] > self.window // int(self.extractor.hop_length)
        with torch.inference_mode(), exact(self.device), quiet_transformers():
            ids = self.model.generate(
                stacked,
                attention_mask=torch.ones(stacked.shape[0], stacked.shape[-1], dtype=torch.long, device=self.device),
                return_timestamps=long,
                condition_on_prev_tokens=False,
                num_beams=self.beams,
                do_sample=False,
                **chosen,
            )
        texts = self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [_tidy(text) for text in texts]


def _tidy(text: str) -> str:
    """Text without control characters, with single spaces."""
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in text).split())
