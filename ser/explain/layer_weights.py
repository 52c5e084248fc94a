"""The weight that a head has learned for each layer of a frozen encoder (Peters et al. 2018; SUPERB, Yang et al. 2021)."""

import numpy as np
from numpy.typing import NDArray

from ser.explain.opened import Opened
from ser.train.nn.layers import Enter


def layer_weights(opened: Opened) -> dict[str, NDArray[np.float64]]:
    """Store -> softmax weights of its stored layers, `(layers,)`, adding up to 1; {} where no store has several.

    A head that reads a store in several places has a weight for each; their mean is given.
    """
    found: dict[str, list[NDArray[np.float64]]] = {}
    for module, _ in opened.parts:
        for enter in module.modules():
            if isinstance(enter, Enter) and enter.weights is not None:
                found.setdefault(enter.store, []).append(enter.weights.detach()[0].double().softmax(-1).numpy())
    return {name: np.mean(weights, axis=0) for name, weights in found.items()}
