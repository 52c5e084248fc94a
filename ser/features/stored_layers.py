"""One of the layers that a store keeps, taken out of tensors: the features that an extraction of that layer alone gives."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.features.blocks import Block, StoreFacts, stored_block
from ser.features.stores.store import FeatureStore
from ser.features.stores.streamed import Streamed
from ser.features.tensors import Tensors


def stored_layers(data: Tensors) -> dict[str, list[int]]:
    """The numbers of the layers of each store that has several, by store.

    Layers are numbered as the encoder's: 0 is the input of its first block. Those of imported features, which do not say their
    numbers, are counted from 0.
    """
    return {b.name: _numbers(b, data.stores[b.name]["identity"]) for b in data.blocks if b.layers > 1}


def _numbers(block: Block, identity: Mapping[str, Any]) -> list[int]:
    own = identity.get("layers")
    return list(own) if own and len(own) == block.layers else list(range(block.layers))


def one_layer(data: Tensors, layer: int) -> Tensors:
    """The tensors with one layer of each store that has several; other stores stay as they are.

    Raises:
        ConfigError: no store has several layers, or one of them lacks this layer.
    """
    known = stored_layers(data)
    if not known:
        raise ConfigError(
            f"--layer {layer}: no store of {data.dataset} has several layers",
            found=", ".join(block.name for block in data.blocks),
            action="Extract them (ser extract --layers all) and name their store, or leave --layer out.",
            option="layer",
        )
    for name, numbers in known.items():
        if layer not in numbers:
            expected = f"one of {', '.join(map(str, numbers))}"
            raise ConfigError(f"{name} has no layer {layer}", expected=expected, option="layer")
    return _taken(data, dict.fromkeys(known, layer))


def as_used(data: Tensors, facts: Mapping[str, Mapping[str, Any]]) -> Tensors:
    """The tensors with the layers that a record or a saved head states to have used, by its facts of stores."""
    return _taken(data, {name: int(store["layer"]) for name, store in facts.items() if "layer" in store})


def block_as_used(path: Path, ids: Sequence[str], name: str, facts: Mapping[str, Any], streamed: bool = False) -> Block:
    """Features of some utterances of one store's file, with the layer alone that the facts of a store state to have used.

    Args:
        name: of the store whose facts they are; of a view's file that of the original.
        streamed: leave the features on disk until they are needed.

    Raises:
        StoreError: there is no such store, or it lacks an utterance.
        ConfigError: it does not have that layer.
    """
    block = stored_block(path, name, ids, streamed)
    if "layer" not in facts or block.layers == 1:
        return block
    with FeatureStore(path) as store:
        known = _numbers(block, store.facts.identity)
    layer = int(facts["layer"])
    if layer not in known:
        raise ConfigError(f"{path.name} has no layer {layer}", found=", ".join(map(str, known)))
    return _of_layer(block, known.index(layer))


def _taken(data: Tensors, layers: Mapping[str, int]) -> Tensors:
    if not layers:
        return data
    known = stored_layers(data)
    for name in [n for n, layer in layers.items() if n in known and layer not in known[n]]:
        raise ConfigError(f"{name} has no layer {layers[name]} any more", found=", ".join(map(str, known[name])))
    blocks = tuple(_of_layer(b, known[b.name].index(layers[b.name])) if b.name in known else b for b in data.blocks)
    stores = {n: _facts(f, layers[n]) if n in layers else f for n, f in data.stores.items()}
    return replace(data, blocks=blocks, stores=stores)


def _of_layer(block: Block, position: int) -> Block:
    values = block.values[:, position]
    return replace(block, values=values if isinstance(values, Streamed) else values.copy())


def _facts(facts: StoreFacts, layer: int) -> StoreFacts:
    """The facts of a store of which one layer is used: with the layer, its own hash, and the identity of that layer."""
    identity = facts["identity"]
    found = facts.copy()
    found["features_sha256"] = hashlib.sha256(f"{facts['features_sha256']} layer {layer}".encode()).hexdigest()
    found["identity"] = {**identity, "layers": [layer]} if "layers" in identity else identity
    found["layer"] = layer
    return found
