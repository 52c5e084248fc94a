"""A store's features in the plane: each utterance a point, coloured by a column of the table.

Distances between groups in such a picture mean little (Wattenberg et al., Distill 2016), so each panel also says, of the
features themselves, how many of an utterance's nearest neighbours have its value.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.features.blocks import Block
from ser.features.tensors import load_features
from ser.optional import absent
from ser.registry import unknown, words
from ser.results.blocks import printable
from ser.results.plotting.style import PALETTE, Figure
from ser.workspace import Workspace, open_workspace

METHODS = ("tsne", "umap", "pca")
NAMES = {"tsne": "t-SNE", "umap": "UMAP", "pca": "principal components"}
DATASET = "corpus"  # the name of a dataset as a column
LIMIT = 3000
COMPONENTS = 50  # principal components that neighbours are looked for in
NEIGHBOURS = 10
MARKERS = "osD^vPX"
LEGEND = 15  # of more values there is no legend
LONGEST = 26  # letters of a value in the legend
MISSING = "#BBBBBB"
Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shown:
    """Utterances of one store of several datasets.

    Attributes:
        store: its name.
        frame: their rows of the tables, with the column `corpus`.
        components: their first principal components after each feature was standardised, `(n, C)`.
        total: the number before some were drawn.
    """

    store: str
    frame: pd.DataFrame
    components: Points
    total: int


def plot_store(
    datasets: str | Sequence[str],
    workspace: Workspace | str | Path = ".",
    *,
    store: str,
    by: str | Sequence[str] = ("emotion",),
    method: str = "tsne",
    limit: int = LIMIT,
    seed: int = 0,
) -> Figure:
    """Draw a store's features in the plane, once for each column that colours them.

    Frames and layers are averaged, and each feature is standardised over all that is drawn.

    Args:
        datasets: tables of the workspace with this store; of several, `corpus` tells them apart.
        store: its name, or that of its encoder.
        by: columns of the table, or `corpus`.
        method: `tsne`, `umap` (extra `umap`) or `pca`.
        limit: of more utterances so many are drawn at random.
        seed: of that, and of the method.

    Raises:
        ConfigError: an unknown store, column or method; a method's package is missing; fewer than five utterances;
            or a dataset is named twice.
    """
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    columns, corpora = words("by", by) or (), words("datasets", datasets) or ()
    for name, given in (("by", columns), ("datasets", corpora)):
        if not given:
            raise ConfigError(f"{name} names nothing", expected="one name or several")
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed = {seed}", expected="a whole number from 0 to 4294967295, which is what the methods take")
    twice = next((name for name in corpora if corpora.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(f"{twice} is named twice", expected="each dataset once")
    shown = _read(corpora, open_workspace(workspace), store, limit, seed)
    _refuse_columns(columns, shown.frame)
    places = _PLACED[method](shown.components, seed)
    figure = Figure(figsize=(0.4 + 5.6 * len(columns), 5.2), layout="constrained")
    for axes, column in zip(figure.subplots(1, len(columns), squeeze=False)[0], columns, strict=True):
        _panel(axes, places, shown, column)
    some = f"{len(places)} of {shown.total}" if len(places) < shown.total else str(shown.total)
    figure.suptitle(
        f"{printable(shown.store)} of {', '.join(dict.fromkeys(shown.frame[DATASET]))}: {some} utterances, {NAMES[method]}",
        fontsize=10,
    )
    return figure


def _read(datasets: Sequence[str], space: Workspace, store: str, limit: int, seed: int) -> Shown:
    frames, values, names = [], [], []
    for dataset in datasets:
        data = load_features(dataset, space, [store])
        frames.append(data.frame.assign(**{DATASET: dataset}))
        values.append(_vectors(data.blocks[0]))
        names.append(data.blocks[0].name)
    if len({v.shape[1] for v in values}) > 1 or len(set(names)) > 1:
        raise ConfigError("the datasets have different features", found=", ".join(names), action="Name one store of all.")
    frame, every = pd.concat(frames, ignore_index=True), np.concatenate(values)
    chosen = np.arange(len(every))
    if len(every) > limit:
        chosen = np.sort(np.random.default_rng(seed).choice(len(every), limit, replace=False))
    if len(chosen) < 5:
        raise ConfigError(f"{names[0]} has too few utterances for a picture", expected="five or more", found=len(chosen))
    return Shown(names[0], frame.iloc[chosen].reset_index(drop=True), _components(every[chosen]), len(every))


def _vectors(block: Block) -> Points:
    """One vector for each utterance, `(n, D)`: the mean over frames, or over layers."""
    if block.vocabulary:
        raise ConfigError(f"{block.name} has ids of word pieces, which have no place in the plane", expected="features")
    if block.offsets is not None:
        sums = np.add.reduceat(block.values.astype(np.float64), block.offsets[:-1], axis=0)
        return np.asarray(sums / np.diff(block.offsets)[:, None])
    values = block.values.astype(np.float64)
    return values.mean(axis=1) if values.ndim == 3 else values


def _components(values: Points) -> Points:
    """The first principal components of standardised features; those that do not vary are left out."""
    from sklearn.decomposition import PCA

    spread = values.std(axis=0)
    values = (values - values.mean(axis=0))[:, spread > 0] / spread[spread > 0]
    if not values.shape[1]:
        raise ConfigError("all utterances have the same features, which have no place in the plane")
    found: Points = PCA(min(COMPONENTS, *values.shape), random_state=0).fit_transform(values)
    return found


def _pca(components: Points, seed: int) -> Points:
    return np.pad(components, ((0, 0), (0, 2)))[:, :2]  # of one feature there is one component


def _tsne(components: Points, seed: int) -> Points:
    from sklearn.manifold import TSNE

    made = TSNE(2, perplexity=min(30.0, (len(components) - 1) / 3), init="random", random_state=seed)
    start = components[:, :2] if components.shape[1] > 1 else None
    if start is not None:
        made.set_params(init=start / start[:, 0].std() * 1e-4)  # as of `init="pca"`, which are these
    found: Points = made.fit_transform(components)
    return found


def _umap(components: Points, seed: int) -> Points:
    try:
        from umap import UMAP
    except ImportError:
        raise absent("umap-learn", "umap", "method umap") from None
    neighbours = min(15, len(components) - 1)
    found: Points = UMAP(n_neighbors=neighbours, random_state=seed, n_jobs=1).fit_transform(components)
    return found


_PLACED: dict[str, Callable[[Points, int], Points]] = {"tsne": _tsne, "umap": _umap, "pca": _pca}


def _refuse_columns(columns: Sequence[str], frame: pd.DataFrame) -> None:
    for column in columns:
        if column not in frame:
            raise unknown("column", column, list(map(str, frame)))
        known = int((~(frame[column].isna() | (frame[column] == ""))).sum())
        if not known:
            raise ConfigError(f"no utterance has a value in column {column}", action="Colour by another column.")
        if known < 2:
            raise ConfigError(
                f"one utterance alone has a value in column {column}",
                expected="two or more",
                found=known,
                action="Colour by another column.",
            )


def neighbours_alike(components: Points, values: Sequence[str]) -> tuple[float, float, int]:
    """The share of an utterance's nearest neighbours that have its value, mean over utterances.

    Args:
        components: `(n, C)`, of two utterances or more.
        values: one for each.

    Returns:
        That share, the share by chance, and the number of neighbours: `NEIGHBOURS`, or all others where they are fewer.
    """
    from sklearn.neighbors import NearestNeighbors

    codes, counts = np.unique(np.asarray(values, dtype=str), return_inverse=True, return_counts=True)[1:]
    count = min(NEIGHBOURS, len(codes) - 1)
    near = NearestNeighbors(n_neighbors=count).fit(components).kneighbors(return_distance=False)
    chance = (counts * (counts - 1)).sum() / (len(codes) * (len(codes) - 1))
    return float((codes[near] == codes[:, None]).mean()), float(chance), count


def _panel(axes: Axes, places: Points, shown: Shown, column: str) -> None:
    values = shown.frame[column]
    axes.set(xticks=[], yticks=[])
    if pd.api.types.is_numeric_dtype(values):
        known = values.notna().to_numpy()
        axes.scatter(places[~known, 0], places[~known, 1], s=10, c=MISSING, linewidths=0)
        drawn = axes.scatter(places[known, 0], places[known, 1], s=12, c=values[known], cmap="viridis", linewidths=0)
        bar = axes.figure.colorbar(drawn, ax=axes, shrink=0.8)
        bar.set_label(printable(column))
        axes.set_title(printable(column), fontsize=10, loc="left")
        return
    known = (values != "").to_numpy()
    none = "none" if (~known).any() else None
    axes.scatter(places[~known, 0], places[~known, 1], s=10, c=MISSING, linewidths=0, label=none)
    names = sorted(set(values[known]))
    for number, name in enumerate(names):
        own = (values == name).to_numpy()
        colour, marker = PALETTE[number % len(PALETTE)], MARKERS[number // len(PALETTE) % len(MARKERS)]
        own_x, own_y = places[own].T
        label = printable(name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…")
        axes.scatter(own_x, own_y, s=14, c=colour, marker=marker, alpha=0.75, linewidths=0, label=label)
    if len(names) <= LEGEND:
        beside = 4 if max(map(len, names)) <= LONGEST / 2 else 2
        axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.01), ncols=beside, frameon=False, markerscale=1.6)
    alike, chance, count = neighbours_alike(shown.components[known], list(values[known]))
    words = f"{count} nearest: {100 * alike:.0f} % alike (chance {100 * chance:.0f} %)"
    many = f" ({len(names)})" if len(names) > LEGEND else ""
    axes.set_title(f"{printable(column)}{many}; {words}", fontsize=9, loc="left")
