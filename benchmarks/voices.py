"""Clusters of voices, as `ser predict --diarize` makes them: its limits, and the spectral clusters of 3D-Speaker.

    python benchmarks/voices.py --workspace W --dataset emodb --root CORPUS --weights DIR

Windows of made calls of two speakers (`benchmarks/timeline.py`) are embedded once by CAM++. Each way of clustering gets the
calls; mixtures of windows of one to four speakers (15 to 59 successive ones of each); and quiet speakers: all windows of one
beside one to three successive ones of another, with the number 2. Confused: windows of the wrong speaker, under the best pairs.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from timeline import RATE, STEP, conversations

from ser.predict import turns as ours
from ser.predict.turns import CAMPPLUS, WINDOW

Array = np.ndarray[Any, Any]
Way = Callable[[Array], Array]


def spectral(vectors: Array, merge: float, share: float = 0.012, most: int = 15, least: int = 5) -> Array:
    """Spectral clusters as in 3D-Speaker (arXiv:2403.19971; `speakerlab/process/cluster.py`, `infer_diarization.py`).

    The similarities of each window to all but its nearest (a share, or six) are 0; the Laplacian is not normalised; the largest
    gap of its eigenvalues gives the number; small clusters join the nearest mean; the most similar are merged down to `merge`,
    which is 0.8 there.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics.pairwise import cosine_similarity

    similar = cosine_similarity(vectors)
    count = len(similar)
    cut = min(int((1 - share) * count), count - 6)
    np.put_along_axis(similar, np.argsort(similar, axis=1)[:, :cut], 0, axis=1)
    similar = (similar + similar.T) / 2
    np.fill_diagonal(similar, 0)
    values, axes = np.linalg.eigh(np.diag(np.abs(similar).sum(axis=1)) - similar)
    number = int(np.diff(values[: most + 1]).argmax()) + 1
    labels = KMeans(number, n_init=10, random_state=0).fit_predict(axes[:, :number])
    large = np.flatnonzero(np.bincount(labels) >= least)
    if not len(large):
        return np.zeros(count, dtype=int)
    means = np.stack([vectors[labels == k].mean(axis=0) for k in large])
    small = ~np.isin(labels, large)
    if small.any():
        labels[small] = large[cosine_similarity(vectors[small], means).argmax(axis=1)]
    while len(names := np.unique(labels)) > 1:
        near = np.triu(cosine_similarity(np.stack([vectors[labels == k].mean(axis=0) for k in names])), 1)
        first, second = np.unravel_index(near.argmax(), near.shape)
        if near[first, second] < merge:
            break
        labels[labels == names[second]] = names[first]
    return labels


def with_limit(name: str, value: float, count: int | None) -> Way:
    """The clusters of `ser` with another limit."""

    def way(vectors: Array) -> Array:
        before = getattr(ours, name)
        setattr(ours, name, value)
        try:
            return ours.clusters(vectors, count)
        finally:
            setattr(ours, name, before)

    return way


def confused(labels: Array, truth: Array) -> tuple[float, int]:
    """The share of windows of the wrong speaker, under the best pairs of clusters and speakers; the number of clusters."""
    from scipy.optimize import linear_sum_assignment

    counts = np.array([[(truth[labels == k] == s).sum() for s in np.unique(truth)] for k in np.unique(labels)])
    return 1 - counts[linear_sum_assignment(-counts)].sum() / len(truth), len(counts)


def embedded(args: argparse.Namespace) -> list[tuple[list[str], Array, Array]]:
    """Of each call its speakers, the vectors of its windows, and who speaks in them: 1, 2, or 0 for both or nobody."""
    from ser.audio.streams import Stream
    from ser.predict.turns import Diarizer

    diarizer = Diarizer(CAMPPLUS, None, args.weights, "cpu", lambda _: None)
    calls = []
    for pair, _, sound, truth in conversations(args):
        places, found, _ = diarizer._embedded(Stream("call", RATE, 1, iter([sound])), [None])
        spoken = [truth[round((m - WINDOW / 2) / STEP) : round((m + WINDOW / 2) / STEP)] for _, m in places]
        owner = np.array([one.max() if len(set(one[one > 0])) == 1 else 0 for one in spoken])
        calls.append((pair, np.stack(found).reshape(len(found), -1).astype(float), owner))
    return calls


def mixtures(calls: list[tuple[list[str], Array, Array]], number: int) -> list[tuple[Array, Array]]:
    """Windows of so many speakers, of all of their calls."""
    rng = np.random.default_rng(number)
    names = sorted({name for pair, _, _ in calls for name in pair})
    own = [np.concatenate([v[o == p.index(n) + 1] for p, v, o in calls if n in p]) for n in names]
    made = []
    for _ in range(40):
        pieces = []
        for k in rng.permutation(len(own))[:number]:
            length = int(rng.integers(15, 60))
            first = int(rng.integers(0, max(len(own[k]) - length, 1)))
            pieces.append(own[k][first : first + length])
        made.append((np.concatenate(pieces), np.repeat(np.arange(number), [len(p) for p in pieces])))
    return made


def quiet(calls: list[tuple[list[str], Array, Array]], few: int) -> list[tuple[Array, Array]]:
    """All windows of one speaker of a call, and a few successive ones of the other."""
    made = []
    for _, vectors, owner in calls:
        for loud in (1, 2):
            other = np.flatnonzero(owner == 3 - loud)
            for start in range(0, len(other) - few + 1, 6):
                chosen = other[start : start + few]
                if chosen[-1] - chosen[0] == few - 1:
                    both = np.concatenate([vectors[owner == loud], vectors[chosen]])
                    made.append((both, np.repeat([0, 1], [len(both) - few, few])))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=2)
    report(embedded(parser.parse_args()))


def report(calls: list[tuple[list[str], Array, Array]]) -> None:
    """Print what each way of clustering makes of the calls, and each limit of the quiet ones."""
    rng = np.random.default_rng(0)
    sets = {"calls": [(v[o > 0], o[o > 0]) for _, v, o in calls]}
    sets |= {
        f"{n} speakers": mixtures(calls, n) for n in range(1, min(4, len({name for pair, _, _ in calls for name in pair})) + 1)
    }
    ways: dict[str, Way] = {f"limit {x}": with_limit("SIMILARITY", x, None) for x in (0.2, 0.25, 0.275, 0.3, 0.35, 0.4)}
    ways |= {f"spectral, merged to {x}": lambda v, x=x: spectral(v, x) for x in (0.8, 0.7, 0.6, 0.55, 0.5)}
    for name, way in ways.items():
        found = {key: [confused(way(v), t) for v, t in made] for key, made in sets.items()}
        words = [f"{key} {np.mean([e for e, _ in f]):.3f} ({np.mean([n for _, n in f]):.1f})" for key, f in found.items()]
        print(f"{name}: confused (clusters): {', '.join(words)}", flush=True)
    odd = [(np.concatenate([v, *2 * [np.abs(v).mean() * rng.normal(size=(1, v.shape[1]))]]), t) for v, t in sets["calls"]]
    for limit in (-1.0, 0.25, 0.275, 0.3, 1.01):  # -1: few windows are always a speaker; above 1: never
        way = with_limit("SIMILARITY", limit, 2)
        wrong = [confused(way(v)[:-2], t)[0] for v, t in odd]
        words = [f"beside two windows of noise {np.mean(wrong):.3f} confused"]
        for few in (1, 2, 3):
            made = quiet(calls, few)
            right = [
                confused(labels := way(v), t)[0] < 0.1 and not set(labels[t == 1]) & {np.bincount(labels[t == 0]).argmax()}
                for v, t in made
            ]
            words.append(f"of {len(made)} quiet speakers of {few} windows {np.mean(right):.2f} found")
        print(f"two speakers, limit {limit:g}: {', '.join(words)}", flush=True)


if __name__ == "__main__":
    main()
