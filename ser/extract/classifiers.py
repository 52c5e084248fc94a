"""Ready-made classifiers of emotions in audio: their probabilities, kept as a store is, for `ser classify`.

emotion2vec+ (Ma et al., Findings of ACL 2024) from funasr's layout: the mean over frames, a linear layer, softmax; batches are
exact as those of its features. Any model of transformers that `AutoModelForAudioClassification` loads (Wav2Vec2, HuBERT, WavLM,
Whisper, AST ...): one utterance at a time, as its own pipeline does, so that no padding reaches it.

Audio `(samples,)` -> probabilities `(labels,)`; the labels are in the store's identity.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ser.accelerator import exact, pick_device
from ser.errors import EncoderError
from ser.extract.checkpoints import ModelName, locate_model, parse_model_name
from ser.extract.encoder import Encoder
from ser.extract.encoders import emotion2vec
from ser.extract.hubs import ModelFiles, mirror_cache, mirror_hub, modelscope_cache, modelscope_hub
from ser.extract.models.emotion2vec import Emotion2vec
from ser.extract.models.funasr_checkpoint import checkpoint_file, read_state
from ser.extract.models.loading import NEEDS, PREPROCESSOR, load_extractor, load_strictly, model_config, weights_identity
from ser.extract.models.stem import receptive_field
from ser.extract.options import DTYPES, EncoderOptions, at_revision, refuse_unused, torch_dtype
from ser.extract.provenance import versions
from ser.features.stores.names import CLASSES
from ser.optional import need

TOKENS = "tokens.txt"  # funasr's list of labels, one in each line
UNUSED = "unuse"  # the beginning of labels that funasr leaves out
NOT_USED = r"masked_spec_embed$"  # of training alone


class Classifier(Encoder):
    """A loaded classifier. Its features are the probabilities of its labels.

    Attributes:
        labels: in the order of the features.
    """

    labels: tuple[str, ...]


def load_classifier(name: str, options: EncoderOptions) -> Classifier:
    """A classifier by short name, hub id (also `...@revision`) or folder.

    Raises:
        EncoderError: its package or its files are missing, it has no classifier of one label, or lacks a weight.
    """
    name, options = at_revision(name, options)
    refuse_unused(options, name, dtype=DTYPES)
    pick_device(options.device)
    known = parse_model_name(name, "emotion2vec", emotion2vec.CHECKPOINTS)
    if known.checkpoint is not None or emotion2vec.accepts(name):
        hubs = (modelscope_cache, mirror_cache, modelscope_hub, mirror_hub)
        return Emotion2vecClassifier(known, locate_model(known, options, emotion2vec.NEEDS, hubs), options)
    need("transformers", "encoders", kind=EncoderError)
    return AudioClassifier(known, locate_model(known, options, (*NEEDS, PREPROCESSOR)), options)


class Emotion2vecClassifier(Emotion2vec, Classifier):
    """emotion2vec+ with the layer that its publishers trained on emotion labels."""

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        super().__init__(name, found, options)
        state = read_state(checkpoint_file(found.folder))
        weight, bias = state.get("proj.weight"), state.get("proj.bias")
        if weight is None or bias is None or weight.ndim != 2 or weight.shape[1] != self.dim:
            raise EncoderError(
                f"{found.model} has no classifier",
                expected=f"weights proj of {self.dim} features, as those of emotion2vec-plus-seed, -base and -large",
                action="As an encoder: ser extract --audio.",
            )
        words = _tokens(found.folder)
        if len(words) != len(weight) or bias.shape != weight.shape[:1]:
            raise EncoderError(
                f"{found.folder / TOKENS} is not of these weights", expected=f"{len(weight)} labels", found=len(words)
            )
        kept = [k for k, word in enumerate(words) if not word.startswith(UNUSED)]
        self.weight, self.bias = weight[kept].double(), bias[kept].double()
        self.labels = tuple(words[k] for k in kept)
        _named_as_classifier(self, name)

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        pooled = torch.from_numpy(np.stack(super().encode(inputs))).double()
        shares = torch.softmax(pooled @ self.weight.T + self.bias, dim=1)
        return list(shares.float().numpy())


def _tokens(folder: Path) -> list[str]:
    """The labels in a folder of funasr's layout."""
    try:
        lines = (folder / TOKENS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise EncoderError(f"cannot read the labels in {folder / TOKENS}", found=error) from None
    return [line.strip() for line in lines if line.strip()]


class AudioClassifier(Classifier):
    """A model of transformers for the classification of audio."""

    modality = "audio"
    level = "utterance"

    def __init__(self, name: ModelName, found: ModelFiles, options: EncoderOptions) -> None:
        from transformers import AutoModelForAudioClassification

        kind = model_config(found).get("problem_type")
        if kind not in (None, "single_label_classification"):
            raise EncoderError(f"{found.model} does not choose one label", expected="a classifier of one label", found=kind)
        made_for = [str(word) for word in model_config(found).get("architectures") or []]
        if made_for and not any(word.endswith("Classification") for word in made_for):
            raise EncoderError(
                f"{found.model} is not a classifier",
                expected="a classifier of audio that chooses one of its labels",
                found=f"a model that was made as {', '.join(made_for)}",
                action="As an encoder: ser extract --audio.",
            )
        self.model = load_strictly(AutoModelForAudioClassification, found, options.dtype, NOT_USED)
        self.extractor = load_extractor(found)
        self.sample_rate = int(self.extractor.sampling_rate)
        config = self.model.config
        if hasattr(config, "conv_kernel") and hasattr(config, "conv_stride"):
            self.minimum = receptive_field(config.conv_kernel, config.conv_stride)
        self.device, self.dtype = pick_device(options.device), torch_dtype(options.dtype)
        self.model.to(self.device)
        self.labels = tuple(str(config.id2label[k]) for k in range(config.num_labels))
        self.assets = {}
        self.identity = {
            "model": found.model,
            "revision": found.revision,
            "level": self.level,
            "dtype": options.dtype,
            "sample_rate": self.sample_rate,
            **weights_identity(found, "config.json", *PREPROCESSOR),
            "versions": versions("torch", "transformers"),
        }
        _named_as_classifier(self, name)

    def encode(self, inputs: Sequence[Any]) -> list[NDArray[Any]]:
        return [self._alone(audio) for audio in inputs]

    def _alone(self, audio: NDArray[np.float32]) -> NDArray[np.float32]:
        made = self.extractor(audio, sampling_rate=self.sample_rate, return_tensors="pt")
        moved = {
            key: value.to(self.device, self.dtype if value.is_floating_point() else value.dtype) for key, value in made.items()
        }
        with torch.inference_mode(), exact(self.device):
            logits = self.model(**moved).logits[0]
        shares: NDArray[np.float32] = torch.softmax(logits.float(), dim=-1).cpu().numpy()
        return shares


def _named_as_classifier(classifier: Classifier, name: ModelName) -> None:
    """Give a classifier the name of its store, its dimension and its identity."""
    labels = classifier.labels
    if len(labels) < 2 or len(set(labels)) < len(labels):
        raise EncoderError(f"{name.model} is not a classifier", expected="two labels or more, each once", found=labels)
    classifier.name = f"{name.short}{CLASSES}"
    classifier.dim = len(labels)
    classifier.identity = {**classifier.identity, "plugin": "classifier", "labels": list(labels)}
