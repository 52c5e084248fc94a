"""The encoders of a saved head: loaded as they were when its features were extracted, or refused."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ser.audio import reading
from ser.errors import ConfigError
from ser.extract.checkpoints import is_hub_id
from ser.extract.encoder import Encoder, find, load
from ser.extract.options import EXACT, PUBLISHED, STATISTICS, EncoderOptions
from ser.metadata.ledger import is_imported
from ser.metadata.texts.text_sources import ASR, kind_of_source, source_of
from ser.train.nn.layers import Input


def load_encoder(
    source: Input, store: dict[str, Any], other: str | None, weights: Path | None, device: str, say: Callable[[str], None]
) -> Encoder:
    """Load the encoder of one of a head's inputs.

    Args:
        source: the input.
        store: the head's description of the store that it was trained on.
        other: the encoder's name or folder, where its weights have moved; None takes the recorded name.
        weights: a folder of encoder weights, used before cache and network.
        say: called with each line that a user should see.

    Raises:
        ConfigError: features that new audio cannot have, or an encoder that is not the one of the head.
        EncoderError: its weights or a package are missing.
    """
    # The type that features were stored in, and the source of their text, are not part of the encoder.
    identity = {key: value for key, value in store["identity"].items() if key not in ("stored_as", "text_source")}
    if is_imported(identity):
        raise ConfigError(
            f"this head was trained on features that were imported ({source.name})",
            expected="features that ser can compute of new audio",
            action=f"Import those of the new recordings too: ser store import --features {source.modality}:{source.name}=FILE",
        )
    if "view" in identity:
        raise ConfigError(
            f"this head was trained on an augmented view ({source.name}), which new audio does not have",
            expected="a head on the features of the audio as it is",
            action="Train on the original, and draw among the views: --views.",
        )
    if "text_source" in store["identity"]:
        say(f"{source.name}: the head was trained on {_in_words(store['identity'])}, so give it such texts")
    layers, pooling = identity.get("layers"), identity.get("pooling")
    if "level" not in identity:
        raise ConfigError(f"the head does not say how its features were made ({source.name})", expected="their level")
    options = EncoderOptions(
        level=identity["level"],
        layers="last" if layers in (None, [identity.get("last_layer")]) else tuple(layers),
        pooling=pooling if source.modality == "text" or pooling == STATISTICS else None,
        device=device,
        dtype=identity.get("dtype", "float32"),
        window=EXACT if identity.get("window") == EXACT else PUBLISHED,
        weights=weights,
        revision=identity.get("revision"),
        announce=lambda text: say(f"{source.name}, the encoder of this head: {text}"),
    )
    encoder = load(other or _name_of(store), source.modality, options)
    encoder.prepare([], store.get("assets", {}))
    differs = sorted(k for k in {*identity, *encoder.identity} if identity.get(k) != encoder.identity.get(k))
    if differs == ["versions"]:
        say(f"{source.name}: features of the head were made with other versions: {identity['versions']}")
    elif differs:
        raise ConfigError(
            f"encoder {encoder.name} is not the one that the head was trained with",
            expected={k: identity.get(k) for k in differs},
            found={k: encoder.identity.get(k) for k in differs},
        )
    return encoder


def refuse_unused(encoders: Mapping[str, str], stores: Collection[str]) -> None:
    """Refuse places of encoders that nothing would be read from.

    Args:
        encoders: store name -> encoder name or folder, as of `Predictor`.
        stores: those whose features are computed here; none where a graph in ONNX reads the audio itself.

    Raises:
        ConfigError: a store is none of these.
    """
    strange = next((store for store in encoders if store not in stores), None)
    if strange is None:
        return
    if not stores:
        expected, action = "none, as the graph in ONNX has its own", "Leave --encoders out."
    else:
        near = get_close_matches(strange, stores, n=1) or list(stores)
        expected, action = f"STORE=NAME of a store that it reads: {', '.join(stores)}", f"Did you mean {near[0]}=NAME?"
    raise ConfigError(
        f"--encoders {strange}={encoders[strange]} is of no store that the model reads", expected=expected, action=action
    )


def audio_for(encoder: Encoder, sound: reading.Audio, rate: int, name: str) -> reading.Audio:
    """The audio that an encoder reads of a recording."""
    audio = reading.resample(sound, rate, encoder.sample_rate)
    reading.check(audio, encoder.sample_rate, encoder.minimum, name)
    return audio


def _name_of(store: dict[str, Any]) -> str:
    """The recorded short name of an encoder; the hub id of its model, where no plugin has such a short name."""
    short, model = str(store["encoder"]), store["identity"].get("model")
    part = store["identity"].get("outside")
    if isinstance(part, dict) and isinstance(part.get("name"), str):
        return str(part["name"])
    try:
        find(short)
    except ConfigError:
        return model if isinstance(model, str) and is_hub_id(model) else short
    return short


def _in_words(identity: dict[str, Any]) -> str:
    if kind_of_source(source_of(identity)) == ASR:
        return f"transcripts by {identity['text_source'].get('model')}"
    return "simulated sentences, which leak the label"
