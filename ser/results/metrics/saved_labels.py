"""The labels that a method saves: the amount of target data with which training from scratch has the same score."""

import math
from collections.abc import Sequence

from ser.results.records.names import amount_value
from ser.results.records.study_numbers import Relation, SavedLabels


def worth(score: float, amounts: Sequence[float], scores: Sequence[float]) -> tuple[float, Relation]:
    """The amount at which a curve first reaches a score, linear between its points in the logarithm of the amount.

    Args:
        amounts: of target data, ascending, above 0.
        scores: of training from scratch with them.

    Returns:
        The amount, and `about`; `at most` where the first point has that score already, `more than` where the last has less.

    >>> value, relation = worth(0.6, [10, 100], [0.5, 0.7])
    >>> round(value, 3), relation
    (31.623, 'about')
    >>> worth(0.4, [10, 100], [0.5, 0.7]), worth(0.8, [10, 100], [0.5, 0.7])
    ((10.0, 'at most'), (100.0, 'more than'))
    """
    if score <= scores[0]:
        return float(amounts[0]), "at most"
    for k in range(1, len(amounts)):
        if scores[k] >= score:
            share = (score - scores[k - 1]) / (scores[k] - scores[k - 1])
            low, high = math.log(amounts[k - 1]), math.log(amounts[k])
            return math.exp(low + share * (high - low)), "about"
    return float(amounts[-1]), "more than"


def saved_labels(curves: dict[str, dict[str, float]], scratch: dict[str, float], zero_shot: float | None) -> list[SavedLabels]:
    """Express each method's scores in target data.

    Percentages are measured on the curve of percentages, shots on that of shots.

    Args:
        curves: by method and amount (`amount_name`) the score.
        scratch: by amount the score of training from scratch.
        zero_shot: score of the source model itself; None without one.

    Returns:
        One row for each method and amount, and for the source model at amount `0%`. `saved` is the share of the labels that
        scratch would need beyond those used, 1 - amount / worth, negative where scratch needs fewer; None where the worth is a
        bound.
    """
    rows = []
    for share in (False, True):
        points = sorted((amount_value(name)[1], s) for name, s in scratch.items() if amount_value(name)[0] is share)
        if not points:
            continue
        asked = [("source only", "0%", zero_shot)] if zero_shot is not None and share else []
        asked += [(m, a, s) for m, curve in curves.items() for a, s in curve.items() if amount_value(a)[0] is share]
        for name, amount, score in asked:
            assert score is not None
            value, relation = worth(score, *(list(column) for column in zip(*points, strict=True)))
            used = amount_value(amount)[1]
            rows.append(
                SavedLabels(
                    method=name,
                    amount=amount,
                    score=score,
                    worth=value,
                    relation=relation,
                    unit="%" if share else "shots",
                    saved=1 - used / value if relation == "about" else None,
                )
            )
    return rows
