"""Pictures that explain heads, in the colours of `ser.results.plotting.style`, which differ in grey too."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ser.explain.inside import AttentionMap
from ser.results.plotting.style import PALETTE, Figure

COLOURS = "cividis"
TICKS = 30  # tokens that are written out


def activation(spectrogram: NDArray[np.float32], maps: Mapping[str, NDArray[np.float32]], seconds: float, title: str) -> Figure:
    """Draw a spectrogram, and below it once more for each class, brighter where it speaks for that class; one scale for all.

    Args:
        spectrogram: `(frames, bands)`.
        maps: class -> its map, `(frames, bands)`; negative numbers are drawn as 0.
        seconds: the length of the utterance; NaN where it is not known, and the axis counts frames.
    """
    figure = Figure(figsize=(7, 1.9 * (1 + len(maps)) + 0.7), layout="constrained")
    axes = figure.subplots(1 + len(maps), 1, sharex=True, squeeze=False)[:, 0]
    known = seconds == seconds
    extent = (0.0, seconds if known else float(len(spectrogram)), 0.0, float(spectrogram.shape[1]))
    axes[0].imshow(spectrogram.T, origin="lower", aspect="auto", extent=extent, cmap="gray_r")
    axes[0].set_title("features as the head reads them", fontsize=9, loc="left")
    top = max(float(values.max()) for values in maps.values())
    for panel, (name, values) in zip(axes[1:], maps.items(), strict=True):
        panel.imshow(spectrogram.T, origin="lower", aspect="auto", extent=extent, cmap="gray_r", alpha=0.35)
        image = panel.imshow(
            values.T, origin="lower", aspect="auto", extent=extent, cmap=COLOURS, alpha=0.75, vmin=0, vmax=max(top, 1e-12)
        )
        panel.set_title(f"speaks for {name}", fontsize=9, loc="left")
    figure.colorbar(image, ax=axes[1:], label="HiResCAM (logits per cell)", fraction=0.04)
    for panel in axes:
        panel.set_ylabel("band")
    axes[-1].set_xlabel("time (s)" if known else "frame")
    figure.suptitle(fill(title, 76), fontsize=10)
    return figure


def attention(
    maps: Sequence[AttentionMap], seconds: float, spoken: Sequence[str], words: Mapping[str, Sequence[str]], title: str
) -> Figure:
    """Draw one panel for each layer, the mean over its heads: rows are queries, columns keys; a pooling is a line over frames.

    Args:
        seconds: the length of the utterance; the axes of audio are in seconds.
        spoken: names of the audio stores.
        words: store -> its tokens as text, where they are known.
    """
    columns = min(2, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.3 * rows + 0.6), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).flatten()
    for panel, one in zip(grid, maps, strict=False):
        weights = one.weights.mean(0)
        panel.set_title(one.layer, fontsize=9, loc="left")
        if len(weights) == 1:
            _line(panel, weights[0], one.keys, seconds, spoken)
            continue
        high, wide = (
            _length(stores, n, seconds, spoken) for stores, n in zip((one.queries, one.keys), weights.shape, strict=True)
        )
        image = panel.imshow(weights, origin="lower", aspect="auto", extent=(0, wide, 0, high), cmap=COLOURS, vmin=0)
        figure.colorbar(image, ax=panel, fraction=0.046)
        for ticks, stores, count in (
            (panel.set_yticks, one.queries, weights.shape[0]),
            (panel.set_xticks, one.keys, weights.shape[1]),
        ):
            pieces = words.get(stores[0], ()) if len(stores) == 1 else ()
            if len(pieces) == count <= TICKS:
                turned = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if ticks == panel.set_xticks else {}
                ticks(np.arange(count) + 0.5, pieces, fontsize=7, **turned)
        panel.set_ylabel("attends: " + _axis(one.queries, seconds, spoken))
        panel.set_xlabel("to: " + _axis(one.keys, seconds, spoken))
    for panel in grid[len(maps) :]:
        panel.set_visible(False)
    figure.suptitle(fill(title, 44 * columns), fontsize=10)
    return figure


def _line(panel: Axes, weights: NDArray[np.float32], keys: tuple[str, ...], seconds: float, spoken: Sequence[str]) -> None:
    wide = _length(keys, len(weights), seconds, spoken)
    panel.plot((np.arange(len(weights)) + 0.5) * wide / len(weights), weights, color=PALETTE[0])
    panel.set_ylim(bottom=0)
    panel.set_ylabel("weight in the mean")
    panel.set_xlabel(_axis(keys, seconds, spoken))


def _timed(stores: tuple[str, ...], spoken: Sequence[str]) -> bool:
    return len(stores) == 1 and stores[0] in spoken


def _length(stores: tuple[str, ...], count: int, seconds: float, spoken: Sequence[str]) -> float:
    return seconds if _timed(stores, spoken) and seconds == seconds else float(count)


def _axis(stores: tuple[str, ...], seconds: float, spoken: Sequence[str]) -> str:
    return " then ".join(stores) + (
        " (s)" if _timed(stores, spoken) and seconds == seconds else " (tokens)" if len(stores) == 1 else " (steps)"
    )


def layers(weights: Mapping[str, NDArray[np.float64]], names: Mapping[str, Sequence[int]], title: str) -> Figure:
    """Draw the weights of layers, `(heads, layers)` by store, with their numbers: the mean over heads, each head as a dot."""
    figure = Figure(figsize=(6.4, 2.9 * len(weights) + 0.6), layout="constrained")
    for panel, (store, values) in zip(figure.subplots(len(weights), 1, squeeze=False)[:, 0], weights.items(), strict=True):
        places = np.arange(values.shape[1])
        panel.bar(places, values.mean(0), color=PALETTE[5], edgecolor="black", linewidth=0.5)
        for one in values:
            panel.plot(places, one, ".", color="black", markersize=3, alpha=max(0.2, len(values) ** -0.5))
        panel.axhline(1 / values.shape[1], color="black", linewidth=0.8, linestyle="--")
        panel.set_xticks(places, [str(n) for n in names[store]])
        panel.set_xlabel(f"layer of {store}")
        panel.set_ylabel("weight")
    figure.suptitle(
        fill(f"{title}: mean of {len(values)} heads (bars), each head (dots), equal weights (dashed)", 70), fontsize=10
    )
    return figure


def modalities(
    names: Sequence[str], values: NDArray[np.float64], by_class: Mapping[str, Sequence[float]], title: str
) -> Figure:
    """Draw Shapley values of modalities: of the UAR, and of the probability of the true class by class.

    Args:
        values: of the UAR, `(heads, modalities)`.
        by_class: class -> one number for each modality.
    """
    figure = Figure(figsize=(8.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1, 2.2])
    places = np.arange(len(names))
    colours = PALETTE[: len(names)]
    left.bar(places, values.mean(0), color=colours)
    for one in values:
        left.plot(places, one, ".", color="black", markersize=4)
    left.set_xticks(places, names)
    left.set_ylabel("share of UA (Shapley value)")
    width = 0.8 / len(names)
    for k, name in enumerate(names):
        where = np.arange(len(by_class)) + (k - (len(names) - 1) / 2) * width
        right.bar(where, [v[k] for v in by_class.values()], width, color=colours[k], label=name)
    right.set_xticks(range(len(by_class)), list(by_class), rotation=35, ha="right", rotation_mode="anchor")
    right.set_ylabel("of the true class's probability")
    right.legend(frameon=False)
    for panel in (left, right):
        panel.axhline(0, color="black", linewidth=0.8)
        panel.grid(axis="y", alpha=0.3)
    figure.suptitle(fill(f"{title}: mean of {len(values)} heads, each head a dot", 100), fontsize=10)
    return figure
