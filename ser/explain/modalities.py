"""The contribution of each modality: exact Shapley values over modalities, from all their coalitions.

A modality that is absent from a coalition is taken from another utterance, drawn at random, so that its distribution stays
the one that the head knows while its information on this utterance is lost; all absent modalities come from the same
utterance, and the mean over draws is taken: the marginal (interventional) value function (Lundberg & Lee, NeurIPS 2017;
Janzing et al., AISTATS 2020). Modalities as players: Parcalabescu & Frank, ACL 2023 (MM-SHAP); Hu et al., 2022 (SHAPE). With
M modalities there are 2^M coalitions, so nothing is sampled but the partners.

The values of one utterance and class add up to p(all) - p(none): the move of the head from its answer for other utterances.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import factorial

import numpy as np
from numpy.typing import NDArray

from ser.errors import ConfigError
from ser.explain.opened_head import OpenedHead
from ser.results.metrics.classification import scores

DRAWS = 20
Coalition = frozenset[str]


@dataclass(frozen=True, eq=False)
class Contributions:
    """Shapley values of modalities.

    Attributes:
        modalities: the players, in order.
        values: of each utterance's probability of each class, `(modalities, n, classes)`.
        coalitions: the mean probabilities with only these modalities present, `(n, classes)` each.
        UA: coalition -> the UAR of the head with only these modalities present, mean over draws.
        UA_values: Shapley values of the UAR, `(modalities,)`; they add up to UA of all less UA of none.
    """

    modalities: tuple[str, ...]
    values: NDArray[np.float64]
    coalitions: dict[Coalition, NDArray[np.float64]]
    UA: dict[Coalition, float]
    UA_values: NDArray[np.float64]


def contributions(opened: OpenedHead, rows: NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0) -> Contributions:
    """Compute the Shapley values of the modalities that a head reads.

    Args:
        rows: of `opened.data`, test rows of the head; their labels are used for the UAR only.
        draws: the number of partners of each utterance.
        seed: of the partners.

    Raises:
        ConfigError: one modality only, or fewer than two utterances.
    """
    stores: dict[str, list[str]] = {}
    for source in opened.saved.inputs:
        stores.setdefault(source.modality, []).append(source.name)
    if len(stores) < 2 or len(rows) < 2:
        raise ConfigError(
            "contributions of modalities",
            expected="a head on two modalities or more, and two utterances or more",
            found=f"{', '.join(stores)}; {len(rows)} utterances",
        )
    random = np.random.default_rng(seed)
    partners = [_partners(len(opened.data.frame), rows, random) for _ in range(draws)]
    labels, modalities = opened.data.labels[rows], tuple(stores)
    shares, score = {}, {}
    for coalition in coalitions_of(modalities):
        absent = [name for m in modalities if m not in coalition for name in stores[m]]
        found = [opened.probabilities(rows, dict.fromkeys(absent, p)) for p in (partners if absent else partners[:1])]
        shares[coalition] = np.mean(found, axis=0)
        score[coalition] = float(np.mean([scores(labels, p.argmax(-1), opened.saved.classes)["UA"] for p in found]))
    return Contributions(
        modalities,
        np.stack([shapley(shares, m) for m in modalities]),
        shares,
        score,
        np.array([float(shapley(score, m)) for m in modalities]),
    )


def coalitions_of(players: tuple[str, ...]) -> list[Coalition]:
    """All subsets, the empty one first."""
    return [frozenset(c) for size in range(len(players) + 1) for c in combinations(players, size)]


def shapley(value: Mapping[Coalition, NDArray[np.float64]] | Mapping[Coalition, float], player: str) -> NDArray[np.float64]:
    """Compute the sum over S without the player of |S|! (M - |S| - 1)! / M! (v(S + player) - v(S)) (Shapley 1953)."""
    players = max(value, key=len)
    total = np.zeros_like(np.asarray(value[players], dtype=np.float64))
    for coalition in value:
        if player not in coalition:
            weight = factorial(len(coalition)) * factorial(len(players) - len(coalition) - 1) / factorial(len(players))
            total = total + weight * (np.asarray(value[coalition | {player}]) - np.asarray(value[coalition]))
    return total


def _partners(count: int, rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """A partner among the rows for each of them, never itself: the next in a cycle through all, in random order."""
    partner = np.arange(count)
    order = random.permutation(rows)
    partner[order] = np.roll(order, 1)
    return partner
