"""Taking the outputs of some of a model's blocks, and computing no block above the highest that is wanted."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn


class _Reached(Exception):
    """All that is wanted has been computed."""


class HiddenLayers:
    """Watches the inputs of a model's blocks: layer n is the input of block n, the last layer the model's output.

    The last layer is thus with the final layer norm where the model has one. Threads may share the model.

    Args:
        blocks: the model's; those above the wanted layers are removed from the list.
        layers: numbers from 0 to `len(blocks)`.
    """

    def __init__(self, blocks: nn.ModuleList, layers: Sequence[int]) -> None:
        self.layers = list(layers)
        self.top, self.depth = max(layers), len(blocks)
        self._own = threading.local()
        for layer in sorted({n for n in layers if n < self.depth}):
            blocks[layer].register_forward_pre_hook(self._keeper(layer), with_kwargs=True)
        del blocks[self.top + 1 :]

    def run(self, forward: Callable[[], Tensor]) -> list[Tensor]:
        """The layers, in the order of their numbers given.

        Args:
            forward: runs the model and returns its output.
        """
        self._own.kept = kept = {}
        try:
            kept[self.depth] = forward()
        except _Reached:
            pass
        finally:
            self._own.kept = None
        return [kept[layer] for layer in self.layers]

    def _keeper(self, layer: int) -> Callable[[Any, tuple[Any, ...], dict[str, Any]], None]:
        def before(_: Any, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            kept = getattr(self._own, "kept", None)
            if kept is None:
                return
            kept[layer] = inputs[0] if inputs else named["hidden_states"]
            if layer == self.top:
                raise _Reached

        return before


def blocks_of(model: nn.Module, depth: int) -> nn.ModuleList | None:
    """The list of a model's `depth` blocks; None where it has no such list (ALBERT's share their weights)."""
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == depth]
    return lists[0] if len(lists) == 1 else None
