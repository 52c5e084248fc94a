"""Measures: the numbers that predictions of one kind of target have. Each is a function of sums over utterances.

The columns of a frame of predictions say which measure it has: `true` and `predicted` are classes; `q_<class>` beside them the
shares of the annotators' votes; `y_<class>` says which of several labels hold; `t_<dimension>` is the rated value. The
prediction of an output is `p_<output>`: a probability, of a dimension the value itself. Heads on a class and dimensions have
the measure of classes, and besides the columns `r_<dimension>`, the rated value, and `v_<dimension>`, the predicted one.

Sums over utterances, as confusion counts are, make every score of any set of utterances: of a fold, a speaker, a run, or
speakers drawn again. So intervals and permutation tests are the same for all measures.

Sources: CCC: Lin, Biometrics 1989. KL, JS, cosine, macro-F1 at the threshold 1 / K: Wu et al., EMO-SUPERB, arXiv 2402.13018.
Exact match and Hamming loss: Tsoumakas & Katakis, International Journal of Data Warehousing and Mining 2007.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.metadata.targets import EMOTION, MIXED
from ser.results.metrics.classification import Counts, class_numbers, f1, score_from_counts
from ser.results.records.numbers import METRICS, OF_DIMENSIONS, OF_LABELS, OF_VOTES

Floats = NDArray[np.float64]
RATED_AS, VALUE = "r_", "v_"  # of dimensions beside classes: what was rated, and what was predicted
FLOOR = 1e-12  # of a predicted share: the divergence of one that is 0 would be infinite
ABOVE = 1e-5  # by which a share must be above 1 / K: a table has six digits, of 1 / 6 for instance 0.166667


def tally(shape: tuple[int, ...], *indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count rows by several numbers at once.

    Args:
        shape: size of each axis of the result.
        indices: one array `(n,)` per axis.

    >>> tally((2, 2), np.array([0, 0, 1]), np.array([1, 1, 0])).tolist()
    [[0, 2], [1, 0]]
    """
    flat = np.ravel_multi_index(indices, shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape).astype(np.int64)


class Measure:
    """The measure of classes: confusion counts `(K, K)`, and the four metrics of `ser.results.metrics.classification`.

    Attributes:
        kind: of target: `emotion`, `votes`, `labels` or `dimensions`.
        names: of the metrics, the one that stands for a result first.
        groups: those that are given for genders and speakers.
        truth: columns with the truth begin with this; "" where the column is `true`.
    """

    kind: ClassVar[str] = "emotion"
    names: ClassVar[tuple[str, ...]] = METRICS
    groups: ClassVar[tuple[str, ...]] = ("UA", "WA")
    truth: ClassVar[str] = ""

    def tally(
        self, frame: pd.DataFrame, outputs: Sequence[str], shape: tuple[int, ...], *indices: NDArray[np.int64]
    ) -> NDArray[Any]:
        """Sums over the rows of each unit, `(*shape, ...)`.

        Args:
            outputs: classes or dimensions.
            shape: numbers of units along each axis.
            indices: the place of each row along each axis, `(n,)` each.
        """
        truth, guess = (class_numbers(frame[column].to_numpy(), outputs) for column in ("true", "predicted"))
        k = len(outputs)
        return tally((*shape, k, k), *indices, truth, guess)

    def number(self, sums: NDArray[Any]) -> Floats:
        """The number of utterances behind sums."""
        return np.asarray(sums.sum((-1, -2)))

    def score(self, sums: NDArray[Any], metric: str) -> Floats:
        """One metric of stacks of sums, `(..., a, b)` -> `(...)`; NaN where it is not defined."""
        return np.asarray(score_from_counts(sums, metric))

    def scores(self, sums: NDArray[Any]) -> dict[str, Floats]:
        """All metrics of stacks of sums, by name."""
        return {name: self.score(sums, name) for name in self.names}


class Dimensions(Measure):
    """Of each dimension n, and the sums of t, p, t^2, p^2 and t p: `(D, 6)`. Metrics are means over the dimensions.

    With population moments, CCC = 2 cov(t, p) / (var t + var p + (mean t - mean p)^2) and PCC = cov(t, p) / (sd t sd p), both
    0 where one side does not vary and NaN of fewer than two utterances; RMSE = sqrt(mean (t - p)^2), on the ratings' scale. As
    they are made of sums, CCC and PCC are exact to about 1e-16 (mean / sd)^2.
    """

    kind = "dimensions"
    names = OF_DIMENSIONS
    groups = ("CCC", "RMSE")
    truth = "t_"

    def tally(
        self, frame: pd.DataFrame, outputs: Sequence[str], shape: tuple[int, ...], *indices: NDArray[np.int64]
    ) -> NDArray[Any]:
        t, p = columns(frame, "t_", outputs), columns(frame, "p_", outputs)
        return _summed(np.stack([np.ones_like(t), t, p, t * t, p * p, t * p], axis=-1), shape, indices)

    def number(self, sums: NDArray[Any]) -> Floats:
        return np.asarray(sums[..., 0, 0])

    def score(self, sums: NDArray[Any], metric: str) -> Floats:
        return np.asarray(self.each(sums, metric).mean(-1))

    def each(self, sums: NDArray[Any], metric: str) -> Floats:
        """One metric of each dimension, `(..., D, 6)` -> `(..., D)`."""
        n = sums[..., 0]
        with np.errstate(invalid="ignore", divide="ignore"):
            t, p, tt, pp, tp = (sums[..., k] / n for k in range(1, 6))
            if metric == "RMSE":
                return np.asarray(np.sqrt(np.maximum(tt - 2 * tp + pp, 0)))
            var_t, var_p, cov = tt - t * t, pp - p * p, tp - t * p
            # What rounding leaves of equal numbers is not variance.
            flat = (var_t <= 1e-12 * np.maximum(tt, 1e-300)) | (var_p <= 1e-12 * np.maximum(pp, 1e-300))
            of = concordance(cov, var_t + var_p, t - p) if metric == "CCC" else cov / np.sqrt(np.maximum(var_t * var_p, 0))
            found = np.where(flat, 0.0, of)
        return np.asarray(np.where(n > 1, np.clip(found, -1, 1), np.nan))


class Labels(Measure):
    """Of each label the true and false positives and negatives, then exact matches and utterances: `(K + 1, 4)`.

    A label is predicted where its probability is above 0.5. F1_macro is the mean over the labels that are in the truth or
    predicted; Hamming is the share of wrong answers over utterances and labels (lower is better).
    """

    kind = "labels"
    names = OF_LABELS
    groups = ("F1_macro", "Hamming")
    truth = "y_"

    def tally(
        self, frame: pd.DataFrame, outputs: Sequence[str], shape: tuple[int, ...], *indices: NDArray[np.int64]
    ) -> NDArray[Any]:
        y, p = columns(frame, "y_", outputs) > 0.5, columns(frame, "p_", outputs) > 0.5
        last = np.zeros((len(y), 1, 4))
        last[:, 0, 0], last[:, 0, 1] = (y == p).all(1), 1
        return _summed(np.concatenate([_answers(y, p), last], axis=1), shape, indices)

    def number(self, sums: NDArray[Any]) -> Floats:
        return np.asarray(sums[..., -1, 1])

    def score(self, sums: NDArray[Any], metric: str) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            if metric == "exact":
                return np.asarray(sums[..., -1, 0] / sums[..., -1, 1])
            own = sums[..., :-1, :]
            if metric == "Hamming":
                return np.asarray(own[..., 1:3].sum((-1, -2)) / own.sum((-1, -2)))
            return macro_f1(own) if metric == "F1_macro" else _f1(own.sum(-2), self.number(sums))


class Votes(Measure):
    """Confusion counts of the corpus's label, and the votes: `(K + 4, max(K, 4))`.

    Rows 0 to K - 1 are confusion counts; row K has n and the sums of KL(q || p) in nats, of the Jensen-Shannon divergence to
    the base 2 and of the cosine; the last three rows are true positives, false positives and false negatives of each class
    where votes and probabilities above 1 / K (by `ABOVE` at least) count as present: a share of just 1 / K does not.
    """

    kind = "votes"
    names = OF_VOTES
    truth = "q_"

    def tally(
        self, frame: pd.DataFrame, outputs: Sequence[str], shape: tuple[int, ...], *indices: NDArray[np.int64]
    ) -> NDArray[Any]:
        counts, k = super().tally(frame, outputs, shape, *indices), len(outputs)
        q, p = columns(frame, "q_", outputs), columns(frame, "p_", outputs)
        own = np.zeros((len(q), 4, max(k, 4)))
        own[:, 0, :4] = np.stack([np.ones(len(q)), kl(q, p), js(q, p), cosine(q, p)], axis=1)
        own[:, 1:, :k] = _answers(q > 1 / k + ABOVE, p > 1 / k + ABOVE)[..., :3].transpose(0, 2, 1)
        sums = np.zeros((*shape, k + 4, max(k, 4)))
        sums[..., :k, :k] = counts
        sums[..., k:, :] = _summed(own, shape, indices)
        return sums

    def number(self, sums: NDArray[Any]) -> Floats:
        return np.asarray(sums[..., -4, 0])

    def score(self, sums: NDArray[Any], metric: str) -> Floats:
        k = sums.shape[-2] - 4
        if metric in METRICS:
            return score_from_counts(sums[..., :k, :k], metric)
        if metric == "F1_1K":
            return macro_f1(np.moveaxis(sums[..., -3:, :k], -1, -2))
        with np.errstate(invalid="ignore"):
            return np.asarray(sums[..., k, 1 + ("KL", "JS", "cosine").index(metric)] / sums[..., k, 0])


def dimensions_beside(frame: pd.DataFrame) -> list[str]:
    """The dimensions that are predicted beside classes."""
    return [str(column)[len(RATED_AS) :] for column in frame.columns if str(column).startswith(RATED_AS)]


def ratings_beside(frame: pd.DataFrame) -> tuple[list[str], pd.DataFrame]:
    """The dimensions that are predicted beside classes, and their columns, named as `Dimensions` reads them."""
    names = dimensions_beside(frame)
    read = {f"{old}{name}": f"{new}{name}" for name in names for old, new in ((RATED_AS, "t_"), (VALUE, "p_"))}
    return names, frame[list(read)].rename(columns=read)


MEASURES: dict[str, Measure] = {m.kind: m for m in (Measure(), Votes(), Labels(), Dimensions())}


def measure_of_kind(kind: str) -> Measure:
    """The measure of a kind of target; of a class and dimensions that of the classes."""
    return MEASURES[EMOTION if kind == MIXED else kind]


def chosen_by(kind: str) -> str:
    """The score that a study of experiments with this kind of target chooses by, in words."""
    return f"validation {measure_of_kind(kind).names[0]}, mean over runs and folds"


def measure_of(frame: pd.DataFrame) -> Measure:
    """The measure of a frame of predictions, by its columns."""
    for measure in MEASURES.values():
        if measure.truth and any(str(column).startswith(measure.truth) for column in frame.columns):
            return measure
    return MEASURES["emotion"]


def score_of(sums: NDArray[Any], metric: str) -> Floats:
    """One metric of stacks of sums of its measure, `(..., a, b)` -> `(...)`."""
    if metric not in METRICS:
        return next(m for m in MEASURES.values() if metric in m.names).score(sums, metric)
    square = sums.shape[-1] == sums.shape[-2]  # as confusion counts are, and the sums of votes are not
    return MEASURES["emotion" if square else "votes"].score(sums, metric)


def run_scores(predictions: pd.DataFrame, outputs: Sequence[str]) -> dict[str, float]:
    """All metrics of some predictions, by name.

    Raises:
        ValueError: a label that is not among the classes, or no utterances.
    """
    measure = measure_of(predictions)
    if not len(predictions):
        raise ValueError("a metric of no utterances has no value")
    sums = measure.tally(predictions, outputs, (1,), np.zeros(len(predictions), dtype=np.int64))[0]
    return {name: float(value) for name, value in measure.scores(sums).items()}


def truth_columns(frame: pd.DataFrame) -> list[str]:
    """The columns with the truth of a frame of predictions."""
    truth = measure_of(frame).truth
    own = [str(column) for column in frame.columns if str(column).startswith(truth or RATED_AS)]
    return [*(["true"] if "true" in frame.columns else []), *own]


def alike(frames: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Frames with one measure: where only some have votes, or the same dimensions beside classes, the classes alone."""
    kinds = {measure_of(frame).kind for frame in frames}
    dropped = [Votes.truth] if kinds == {"votes", "emotion"} else []
    if len({tuple(dimensions_beside(frame)) for frame in frames}) > 1:
        dropped += [RATED_AS, VALUE]
    if not dropped:
        return list(frames)
    return [frame.drop(columns=[c for c in frame.columns if str(c).startswith(tuple(dropped))]) for frame in frames]


def outputs_of(frame: pd.DataFrame) -> list[str]:
    """The classes, dimensions or labels that predictions are of, in the order of their columns."""
    return [str(column)[2:] for column in frame.columns if str(column).startswith("p_")]


def columns(frame: pd.DataFrame, prefix: str, outputs: Sequence[str]) -> Floats:
    """The columns of all outputs, `(n, K)`."""
    # As `frame[names]` does after it has looked up the names, which takes several times as long.
    place = {name: k for k, name in enumerate(frame.columns.tolist())}
    chosen = frame.take([place[f"{prefix}{name}"] for name in outputs], axis=1)
    return np.asarray(chosen.to_numpy(dtype=np.float64))


def kl(q: Floats, p: Floats) -> Floats:
    """Kullback-Leibler divergence of votes q from probabilities p, nats, `(n, K)` each -> `(n,)`."""
    from scipy.special import rel_entr  # here, as scipy takes 0.15 s of a process that needs no divergence

    return np.asarray(np.maximum(rel_entr(q, np.maximum(p, FLOOR)).sum(-1), 0))


def js(q: Floats, p: Floats) -> Floats:
    """Jensen-Shannon divergence to the base 2, `(n, K)` each -> `(n,)`, range 0 to 1."""
    from scipy.special import rel_entr

    middle = (q + p) / 2
    return np.asarray(np.clip((rel_entr(q, middle) + rel_entr(p, middle)).sum(-1) / (2 * np.log(2)), 0, 1))


def cosine(q: Floats, p: Floats) -> Floats:
    """Cosine of the angle between two distributions, `(n, K)` each -> `(n,)`."""
    size = np.sqrt((q * q).sum(-1) * (p * p).sum(-1))
    return np.asarray(np.minimum((q * p).sum(-1) / np.maximum(size, FLOOR), 1))


def concordance(covariance: Counts, variances: Counts, difference: Counts, least: float = 0.0) -> Counts:
    """CCC of population moments: 2 cov(x, y) / (var x + var y + (mean x - mean y)^2), arrays of NumPy or tensors of torch.

    Args:
        variances: var x + var y.
        difference: mean x - mean y.
        least: is added below, so that a loss has a gradient where nothing varies.
    """
    found: Counts = 2 * covariance / (variances + difference**2 + least)
    return found


def macro_f1(answers: NDArray[Any]) -> Floats:
    """Mean F1 over the labels in truth or predictions, of `(..., K, 3 or more)`: true and false positives, false negatives."""
    either = 2 * answers[..., 0] + answers[..., 1] + answers[..., 2]
    seen = either > 0
    with np.errstate(invalid="ignore"):
        mean = f1(answers[..., 0], either).sum(-1) / seen.sum(-1)
    return np.asarray(np.where(seen.any(-1), mean, 0.0))


def _f1(answers: NDArray[Any], number: Floats) -> Floats:
    """F1 of counts `(..., 4)`; 0 where nothing is true or predicted, NaN without utterances."""
    found = f1(answers[..., 0], 2 * answers[..., 0] + answers[..., 1] + answers[..., 2])
    return np.asarray(np.where(number > 0, found, np.nan))


def _answers(truth: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> Floats:
    """True positives, false positives, false negatives and true negatives, `(n, K)` each -> `(n, K, 4)`."""
    return np.stack([truth & predicted, ~truth & predicted, truth & ~predicted, ~truth & ~predicted], -1).astype(float)


def _summed(rows: Floats, shape: tuple[int, ...], indices: Sequence[NDArray[np.int64]]) -> Floats:
    """Sums of rows `(n, a, b)` over units, `(*shape, a, b)`."""
    units, inner = int(np.prod(shape)), rows.shape[1:]
    flat = np.ravel_multi_index(tuple(indices), shape)
    wide = rows.reshape(len(rows), int(np.prod(inner)))
    sums = [np.bincount(flat, weights=wide[:, k], minlength=units) for k in range(wide.shape[1])]
    stacked: Floats = np.stack(sums, axis=-1).reshape(*shape, *inner).astype(np.float64)
    return stacked
