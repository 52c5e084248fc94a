"""One of the layers that a store keeps, taken out of tensors: the features that an extraction of that layer alone gives."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ser.errors import ConfigError
from ser.features.blocks import Block, StoreFacts
from ser.features.tensors import Tensors


def stored_layers(data: Tensors) -> dict[str, list[int]]:
    """The numbers of the layers of each store that has several, by store.

    Layers are numbered as the encoder's: 0 is the input of its first block. Those of imported features, which do not say their
    numbers, are counted from 0.
    """
    found = {}
    for block in data.blocks:
        if block.layers > 1:
            own = data.stores[block.name]["identity"].get("layers")
            found[block.name] = list(own) if own and len(own) == block.layers else list(range(block.layers))
    return found


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
    return replace(block, values=block.values[:, position].copy())


def _facts(facts: StoreFacts, layer: int) -> StoreFacts:
    """The facts of a store of which one layer is used: with the layer, its own hash, and the identity of that layer."""
    identity = facts["identity"]
    found = facts.copy()
    found["features_sha256"] = hashlib.sha256(f"{facts['features_sha256']} layer {layer}".encode()).hexdigest()
    found["identity"] = {**identity, "layers": [layer]} if "layers" in identity else identity
    found["layer"] = layer
    return found
