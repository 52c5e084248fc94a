"""Our numbers beside those of other packages, on random and on edge inputs: the largest difference of each.

    pip install --target /tmp/oracles --no-deps fairlearn jiwer kaldi-native-fbank kornia kornia_rs krippendorff mapie
        parameterized patsy pytorch-adapt pytorch-metric-learning statsmodels torchmetrics lightning-utilities
        uncertainty-calibration
    PYTHONPATH=/tmp/oracles python benchmarks/oracles.py                # prints the table of oracles.md
    PYTHONPATH=/tmp/oracles python benchmarks/oracles.py loss F1        # the rows with these words

None of these is needed by `ser` or its tests; audmetric and crepes come with the extra `dev`. What is not installed is
named, and its rows are left out. Where a definition differs on some input, that input is left out of the pairs, and the
difference is said below the table. Rows beside "equation" are the formula term by term, where no package has it.
"""

import math
import sys
import warnings
from collections.abc import Callable, Iterator
from fractions import Fraction
from importlib.metadata import PackageNotFoundError, version
from itertools import combinations, pairwise, permutations, product
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from scipy import stats
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax
from sklearn import metrics as sk

from ser.audit.agreement import krippendorff_alpha
from ser.audit.findings import cramers_v
from ser.explain.modalities import coalitions_of, shapley
from ser.results.metrics import abstention, calibration, classification, conformal, gaps, intervals, novelty, soft_labels
from ser.results.metrics.measures import run_scores
from ser.results.plotting.feature_map import neighbours_alike
from ser.results.statistics import paired, permutation
from ser.results.statistics import power as of_power
from ser.train.adapt import cdan, coral, mmd
from ser.train.adapt._base import Side, alpha, domain_loss, reverse
from ser.train.loop import target_selection
from ser.train.losses._base import Batch, term

Pair: TypeAlias = tuple[Any, Any]
CHECKS: list[tuple[str, str, str, Callable[[], Iterator[Pair]]]] = []


def check(number: str, package: str, what: str) -> Callable[[Callable[[], Iterator[Pair]]], Callable[[], Iterator[Pair]]]:
    """Enter a check: a generator of pairs of our number and the other.

    Args:
        number: that is compared.
        package: the distribution that the other number is from; "" for an equation.
        what: its function, or the source of the equation.
    """

    def enter(of: Callable[[], Iterator[Pair]]) -> Callable[[], Iterator[Pair]]:
        CHECKS.append((number, package, what, of))
        return of

    return enter


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def answers() -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Truth, predictions and the number of classes: random ones, a class missing in either or both, all one class, one row."""
    for seed in range(200):
        r = rng(seed)
        k, n = int(r.integers(2, 9)), int(r.integers(1, 60))
        there, said = (r.choice(k, int(r.integers(1, k + 1)), replace=False) for _ in range(2))
        yield r.choice(there, n), r.choice(said, n), k


def of_answers(name: str) -> Iterator[tuple[np.ndarray, np.ndarray, int, float]]:
    for y, p, k in answers():
        yield y, p, k, classification.scores(y, p, [str(c) for c in range(k)])[name]


@check("UA", "scikit-learn", "balanced_accuracy_score")
def _() -> Iterator[Pair]:
    for y, p, _, own in of_answers("UA"):
        yield own, sk.balanced_accuracy_score(y, p)


@check("UA", "audmetric", "unweighted_average_recall, labels of the truth")
def _() -> Iterator[Pair]:
    import audmetric

    for y, p, _, own in of_answers("UA"):
        keep = np.isin(p, y)
        if keep.all():
            yield own, audmetric.unweighted_average_recall(y, p)


@check("WA", "scikit-learn", "accuracy_score")
def _() -> Iterator[Pair]:
    for y, p, _, own in of_answers("WA"):
        yield own, sk.accuracy_score(y, p)


@check("WF1", "scikit-learn", "f1_score(average='weighted')")
def _() -> Iterator[Pair]:
    for y, p, _, own in of_answers("WF1"):
        yield own, sk.f1_score(y, p, average="weighted", zero_division=0)


@check("Macro_F1", "scikit-learn", "f1_score(average='macro')")
def _() -> Iterator[Pair]:
    for y, p, _, own in of_answers("Macro_F1"):
        yield own, sk.f1_score(y, p, average="macro", zero_division=0)


@check("UA, WA, Macro_F1", "torchmetrics", "recall, accuracy, f1 (macro, micro, macro); all classes in truth")
def _() -> Iterator[Pair]:
    from torchmetrics.functional import classification as tm

    for y, p, k in answers():
        if len(np.unique(y)) < k:
            continue
        own = classification.scores(y, p, [str(c) for c in range(k)])
        pair = torch.tensor(p), torch.tensor(y)
        yield own["UA"], float(tm.multiclass_recall(*pair, num_classes=k, average="macro"))
        yield own["WA"], float(tm.multiclass_accuracy(*pair, num_classes=k, average="micro"))
        yield own["Macro_F1"], float(tm.multiclass_f1_score(*pair, num_classes=k, average="macro"))


@check("precision, recall, F1 of a class", "scikit-learn", "precision_recall_fscore_support")
def _() -> Iterator[Pair]:
    for y, p, k in answers():
        own = classification.class_scores(classification.confusion(y, p, [str(c) for c in range(k)]))
        theirs = sk.precision_recall_fscore_support(y, p, labels=range(k), zero_division=0)
        for name, other in zip(("precision", "recall", "F1", "support"), theirs, strict=True):
            yield np.nan_to_num(own[name]), other


@check("UA gap of genders", "fairlearn", "MetricFrame.difference of balanced_accuracy_score")
def _() -> Iterator[Pair]:
    from fairlearn.metrics import MetricFrame

    for seed in range(30):
        r = rng(seed)
        y, p, sex = r.integers(0, 4, 80), r.integers(0, 4, 80), np.where(r.random(80) < 0.3, "female", "male")
        speaker = np.array([f"{s}{i % 4}" for i, s in enumerate(sex)])
        found = gaps.group_gaps(gaps.Rights((y == p).astype(float), y, speaker, sex), resamples=10)
        other = MetricFrame(metrics=sk.balanced_accuracy_score, y_true=y, y_pred=p, sensitive_features=sex)
        assert found is not None
        yield abs(found.gaps[0]["UA"].difference), other.difference()


def ratings() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rated and predicted values: random ones, shifted far from 0, two rows, copies of each other."""
    for seed in range(100):
        r = rng(seed)
        n = int(r.integers(2, 50))
        t = r.choice([1.0, 2.0, 3.5, 4.0, 5.0], n) if seed % 2 else r.normal(r.choice([0, 3, 100]), r.choice([0.1, 1, 5]), n)
        p = t.copy() if seed % 10 == 0 else t * r.choice([-1, 0.5, 1]) + r.normal(size=n)
        if np.ptp(t) > 0 and np.ptp(p) > 0:
            yield t, p


def rated(t: np.ndarray, p: np.ndarray) -> dict[str, float]:
    return run_scores(pd.DataFrame({"t_x": t, "p_x": p}), ["x"])


@check("CCC", "audmetric", "concordance_cc")
def _() -> Iterator[Pair]:
    import audmetric

    for t, p in ratings():
        yield rated(t, p)["CCC"], audmetric.concordance_cc(t, p)


@check("PCC", "scipy", "pearsonr")
def _() -> Iterator[Pair]:
    for t, p in ratings():
        yield rated(t, p)["PCC"], stats.pearsonr(t, p)[0]


@check("RMSE", "scikit-learn", "root_mean_squared_error")
def _() -> Iterator[Pair]:
    for t, p in ratings():
        yield rated(t, p)["RMSE"], sk.root_mean_squared_error(t, p)


@check("F1_macro, F1_micro, exact, Hamming", "scikit-learn", "f1_score, accuracy_score, hamming_loss")
def _() -> Iterator[Pair]:
    for seed in range(60):
        r = rng(seed)
        k, n = int(r.integers(2, 7)), int(r.integers(1, 40))
        y, p = (r.random((n, k)) < r.random(k) * r.integers(0, 2, k)).astype(float), r.random((n, k)) * r.random(k)
        frame = pd.DataFrame({**{f"y_{c}": y[:, c] for c in range(k)}, **{f"p_{c}": p[:, c] for c in range(k)}})
        own, guess = run_scores(frame, [str(c) for c in range(k)]), p > 0.5
        if y.any() or guess.any():
            yield own["F1_macro"], sk.f1_score(y, guess, average="macro", zero_division=np.nan)
        yield own["F1_micro"], sk.f1_score(y, guess, average="micro", zero_division=0)
        yield own["exact"], sk.accuracy_score(y, guess)
        yield own["Hamming"], sk.hamming_loss(y, guess)


def voted() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers of votes, of which many are a just share of 1 / K, and probabilities."""
    for seed in range(40):
        r = rng(seed)
        k, raters, n = int(r.integers(2, 10)), int(r.choice([3, 4, 5, 6, 8, 10, 12])), int(r.integers(2, 40))
        yield r.multinomial(raters, np.full(k, 1 / k), n), r.dirichlet(np.ones(k), n)


def scored_votes(counts: np.ndarray, p: np.ndarray, digits: int = 6) -> dict[str, float]:
    """Scores of shares with as many digits as a table has."""
    k = counts.shape[1]
    q = np.round(counts / counts.sum(1, keepdims=True), digits)
    q = q / q.sum(1, keepdims=True)
    names = [str(c) for c in range(k)]
    frame = pd.DataFrame({**{f"q_{c}": q[:, c] for c in range(k)}, **{f"p_{c}": p[:, c] for c in range(k)}})
    return run_scores(frame.assign(true=q.argmax(1).astype(str), predicted=p.argmax(1).astype(str)), names)


@check("KL, JS of votes", "scipy", "entropy, jensenshannon^2 to the base 2")
def _() -> Iterator[Pair]:
    for counts, p in voted():
        own, q = scored_votes(counts, p, 16), counts / counts.sum(1, keepdims=True)
        yield own["KL"], stats.entropy(q, p, axis=1).mean()
        yield own["JS"], (jensenshannon(q, p, base=2, axis=1) ** 2).mean()


@check("F1_1K of votes", "scikit-learn", "f1_score(average='macro') of exact fractions above 1 / K")
def _() -> Iterator[Pair]:
    for counts, p in voted():
        k = counts.shape[1]
        present = np.array([[Fraction(int(v), int(row.sum())) > Fraction(1, k) for v in row] for row in counts])
        yield scored_votes(counts, p)["F1_1K"], sk.f1_score(present, p > 1 / k, average="macro", zero_division=np.nan)


def probabilities() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for seed in range(40):
        r = rng(seed)
        k, n = int(r.integers(2, 8)), int(r.integers(20, 300))
        p = softmax(r.normal(size=(n, k)) * r.choice([0.5, 2]), axis=1)
        yield p, np.where(r.random(n) < 0.6, p.argmax(1), r.integers(0, k, n))


@check("NLL", "scikit-learn", "log_loss")
def _() -> Iterator[Pair]:
    for p, y in probabilities():
        yield calibration.nll(p, y), sk.log_loss(y, p, labels=range(p.shape[1]))


@check("Brier", "scikit-learn", "brier_score_loss of each class, summed")
def _() -> Iterator[Pair]:
    for p, y in probabilities():
        yield calibration.brier(p, y), sum(sk.brier_score_loss(y == c, p[:, c]) for c in range(p.shape[1]))


@check("ECE of bins of equal mass", "uncertainty-calibration", "get_ece_em, n a multiple of 15")
def _() -> Iterator[Pair]:
    import calibration as other

    for p, y in probabilities():
        p, y = p[: len(p) // 15 * 15], y[: len(p) // 15 * 15]
        if len(y):
            yield calibration.ece(p, y), other.get_ece_em(p, y, num_bins=15)


@check("ECE of equal confidences", "equation", "|mean confidence - accuracy| where all are equal")
def _() -> Iterator[Pair]:
    for seed in range(20):
        r = rng(seed)
        n = int(r.integers(20, 200))
        y = np.sort((r.random(n) < 0.4).astype(int))
        yield calibration.ece(np.tile([0.7, 0.3], (n, 1)), y), abs(0.7 - (y == 0).mean())


@check("ECE by chance", "equation", "mean of 4,000 draws of answers that are right as said, within 3 %")
def _() -> Iterator[Pair]:
    for seed, digits in product(range(3), (1, 2, 9)):
        r = rng(seed)
        p = softmax(2 * r.normal(size=(150, 4)), axis=1)
        c = np.round(np.maximum(p.max(1), 0.4), digits)
        p = np.stack([c, *[(1 - c) / 3] * 3], 1)
        drawn = [calibration.ece(p, np.where(r.random(150) < c, 0, 1)) for _ in range(4000)]
        yield round(calibration.chance_ece(p) / np.mean(drawn) / 0.06), round(1 / 0.06)


@check("temperature", "scipy", "minimize_scalar of the cross-entropy")
def _() -> Iterator[Pair]:
    from scipy.optimize import minimize_scalar

    for p, y in probabilities():
        z = np.log(p)
        found = minimize_scalar(
            lambda t, z=z, y=y: sk.log_loss(y, softmax(z / math.exp(t), axis=1), labels=range(z.shape[1])),
            bounds=(math.log(0.05), math.log(20)),
            method="bounded",
            options={"xatol": 1e-10},
        )
        own = calibration.fit_temperature(z, y)
        yield calibration.nll(softmax(z / own, axis=1), y), found.fun


@check("AURC, E-AURC", "equation", "Geifman et al. 2019: mean risk over coverages; ties as the mean over all orders")
def _() -> Iterator[Pair]:
    for seed in range(20):
        r = rng(seed)
        n = int(r.integers(1, 7))
        c, right = r.integers(0, 3, n) / 4, r.random(n) < 0.6

        def of(order: tuple[int, ...], right: np.ndarray = right) -> float:
            return sum(sum(not right[i] for i in order[:m]) / m for m in range(1, len(order) + 1)) / len(order)

        orders = [o for o in permutations(range(n)) if all(c[a] >= c[b] for a, b in pairwise(o))]
        mean = sum(map(of, orders)) / len(orders)
        yield abstention.aurc(c, right), mean
        yield abstention.excess_aurc(c, right), mean - min(map(of, permutations(range(n))))


@check("conformal sets", "crepes", "ConformalClassifier.predict_set, (n + 1) c no whole number")
def _() -> Iterator[Pair]:
    from crepes import ConformalClassifier

    for seed, c in product(range(8), (0.5, 0.8, 0.9, 0.99)):
        r = rng(seed)
        p, y = r.dirichlet(np.ones(4), 156), r.integers(0, 4, 156)
        limit = conformal.limit_of(1 - p[:56][np.arange(56), y[:56]], c)
        other = ConformalClassifier().fit(1 - p[:56][np.arange(56), y[:56]])
        yield (1 - p[56:] <= limit), other.predict_set(1 - p[56:], confidence=c, smoothing=False)


@check("conformal sets", "mapie", "SplitConformalClassifier(conformity_score='lac')")
def _() -> Iterator[Pair]:
    from mapie.classification import SplitConformalClassifier
    from sklearn.linear_model import LogisticRegression

    for seed, c in product(range(5), (0.5, 0.8, 0.9)):
        r = rng(seed)
        x, y = r.normal(size=(400, 3)), r.integers(0, 4, 400)
        x += y[:, None] / 2
        model = LogisticRegression().fit(x[:100], y[:100])
        other = SplitConformalClassifier(model, confidence_level=c, conformity_score="lac", prefit=True)
        other.conformalize(x[100:257], y[100:257])
        p = model.predict_proba(x)
        limit = conformal.limit_of(1 - p[np.arange(100, 257), y[100:257]], c)
        yield (1 - p[257:] <= limit), other.predict_set(x[257:])[1][..., 0]


@check("conformal intervals", "mapie", "SplitConformalRegressor")
def _() -> Iterator[Pair]:
    from mapie.regression import SplitConformalRegressor
    from sklearn.linear_model import LinearRegression

    for seed, c in product(range(5), (0.5, 0.8, 0.9)):
        r = rng(seed)
        x = r.normal(size=(300, 2))
        y = x.sum(1) + r.normal(size=300)
        model = LinearRegression().fit(x[:100], y[:100])
        other = SplitConformalRegressor(model, confidence_level=c, prefit=True).conformalize(x[100:257], y[100:257])
        found = other.predict_interval(x[257:])[1][:, :, 0]
        yield conformal.limit_of(np.abs(y - model.predict(x))[100:257], c), (found[:, 1] - found[:, 0]).max() / 2


@check("novelty: AUROC, FPR95", "scikit-learn", "roc_auc_score, roc_curve")
def _() -> Iterator[Pair]:
    for seed in range(40):
        r = rng(seed)
        known, novel = r.integers(0, 20, 40) / 2, r.integers(5, 30, 30) / 2
        truth, score = np.repeat([1, 0], [40, 30]), -np.concatenate([known, novel])
        yield novelty.auroc(known, novel), sk.roc_auc_score(truth, score)
        false, true, _ = sk.roc_curve(truth, score, drop_intermediate=False)
        yield novelty.fpr95(known, novel), false[np.argmax(true >= 0.95)]


@check("Krippendorff's alpha", "krippendorff", "alpha(value_counts, level_of_measurement='nominal')")
def _() -> Iterator[Pair]:
    import krippendorff

    for seed in range(60):
        r = rng(seed)
        k, n = int(r.integers(2, 7)), int(r.integers(2, 40))
        counts = np.stack([r.multinomial(r.integers(0, 9), r.dirichlet(np.ones(k))) for _ in range(n)])
        if ((counts.sum(1) > 1)[:, None] * counts).any(0).sum() > 1:
            yield krippendorff_alpha(counts), krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")


@check("agreement of two annotators, and with the head", "equation", "all pairs of annotators who heard a class")
def _() -> Iterator[Pair]:
    for seed in range(20):
        r = rng(seed)
        votes = r.multinomial(10, [0.3, 0.3, 0.2, 0.2], 30)  # the last is none of the classes
        votes = votes[votes[:, :3].sum(1) >= 2]
        votes = np.concatenate([votes, [[9, 1, 0, 0]] * 10 * len(votes)])  # ten annotators are the usual number
        answers = r.integers(0, 3, len(votes))
        found = soft_labels.pairwise(votes[:, :3] / 10, answers)
        each = [np.repeat(range(3), row[:3]) for row in votes]
        assert found is not None
        yield found["annotators"], np.mean([np.mean([a == b for a, b in combinations(e, 2)]) for e in each])
        yield found["head"], np.mean([np.mean(e == a) for e, a in zip(each, answers, strict=True)])


@check("interval over runs", "scipy", "t.interval")
def _() -> Iterator[Pair]:
    for n in range(2, 60):
        x = rng(n).normal(size=n)
        yield intervals.describe(x).ci_95, stats.t.interval(0.95, n - 1, x.mean(), stats.sem(x))


@check("standard error over speakers", "statsmodels", "OLS, cov_type='cluster': WA, within 10 %")
def _() -> Iterator[Pair]:
    import statsmodels.api as sm

    for seed in range(5):
        r = rng(seed)
        speaker = r.integers(0, 60, 1500)
        right = (r.random(1500) < (0.3 + 0.5 * r.random(60))[speaker]).astype(float)
        frame = pd.DataFrame({"true": "a", "predicted": np.where(right, "a", "b"), "run": 0, "speaker": speaker.astype(str)})
        counts = intervals.unit_counts(frame, ["a", "b"], frame["speaker"])
        drawn = intervals.scores_drawn_again(counts, gaps_measure(), 4000)[1]
        fit = sm.OLS(right, np.ones(1500)).fit(cov_type="cluster", cov_kwds={"groups": speaker})
        yield round(drawn.std() / fit.bse[0] / 0.2), round(1 / 0.2)


def gaps_measure() -> Any:
    from ser.results.metrics.measures import MEASURES

    return MEASURES["emotion"]


@check("p, Holm", "statsmodels", "multipletests(method='holm')")
def _() -> Iterator[Pair]:
    from statsmodels.stats.multitest import multipletests

    for seed in range(50):
        p = np.round(rng(seed).random(int(rng(seed).integers(1, 20))) ** 3, 2)
        yield paired.holm(p), multipletests(p, method="holm")[1]


def two_systems(seed: int, units: int, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """Counts `(units, runs, 3, 3)` of two systems on the same utterances."""
    r = rng(seed)
    truth = r.multinomial(12, [0.5, 0.3, 0.2], units)
    made = [[[[r.multinomial(m, r.dirichlet(np.ones(3))) for m in t] for _ in range(runs)] for t in truth] for _ in "ab"]
    return np.array(made[0]), np.array(made[1])


def ua_difference(a: np.ndarray, b: np.ndarray) -> float:
    """UA of counts `(units, runs, 3, 3)` by its definition, A minus B, mean over runs."""

    def one(counts: np.ndarray) -> float:
        total = counts.sum(0)
        return float(np.mean([np.mean([m[k, k] / m[k].sum() for k in range(3) if m[k].sum()]) for m in total]))

    return one(a) - one(b)


@check("p over speakers (all swaps)", "scipy", "permutation_test(permutation_type='samples')")
def _() -> Iterator[Pair]:
    for seed in range(6):
        pair = two_systems(seed, 7, 2)

        def statistic(one: np.ndarray, other: np.ndarray, axis: int = -1, pair: Pair = pair) -> float:
            return ua_difference(*(np.where(ids[:, None, None, None] == 0, *pair) for ids in (one, other)))

        ids = (np.zeros(7), np.ones(7))
        found = stats.permutation_test(ids, statistic, permutation_type="samples", vectorized=False, n_resamples=np.inf)
        yield permutation.swap_test(*pair), found.pvalue


@check("p over models (drawn)", "equation", "all 400 ways of sharing out 3 + 3 models in two folds, within 0.015")
def _() -> Iterator[Pair]:
    for seed in range(4):
        a, b = two_systems(seed, 2, 3)
        both, ways = np.concatenate([a, b], 1), list(combinations(range(6), 3))
        rest = [tuple(k for k in range(6) if k not in w) for w in ways]
        observed, found = abs(ua_difference(a, b)), []
        for one, other in product(range(20), repeat=2):
            own = np.stack([both[0, list(ways[one])], both[1, list(ways[other])]])
            theirs = np.stack([both[0, list(rest[one])], both[1, list(rest[other])]])
            found.append(abs(ua_difference(own, theirs)) >= observed - 1e-12)
        yield round((permutation.shuffle_test(a, b) - np.mean(found)) / 0.03), 0


@check("interval of a difference", "equation", "Owen 2007: units and runs drawn again, each draw by loops")
def _() -> Iterator[Pair]:
    for seed in range(3):
        a, b = two_systems(seed, 6, 3)
        r = rng(0)
        who = r.multinomial(6, np.full(6, 1 / 6), size=300)
        which = r.multinomial(3, np.full(3, 1 / 3), size=300)
        drawn = []
        for w, v in zip(who, which, strict=True):
            units, runs = np.repeat(range(6), w), np.repeat(range(3), v)
            drawn.append(ua_difference(a[units][:, runs], b[units][:, runs]))
        yield paired.difference_interval(a, b, resamples=300), np.quantile(drawn, [0.025, 0.975])


@check("power", "statsmodels", "TTestIndPower, TTestPower")
def _() -> Iterator[Pair]:
    from statsmodels.stats.power import TTestIndPower, TTestPower

    for d, n in product((0.1, 0.5, 1.0), (2, 5, 20, 64)):
        yield of_power.power(d, 2 / n, 0.0, 2 * n - 2, 1), TTestIndPower().power(d, n, 0.05)
        yield of_power.power(d, 0.0, 1 / n, 1, n - 1), TTestPower().power(d, n, 0.05)


@check("Cramér's V", "equation", "sqrt(chi2 / (n (min(r, c) - 1)))")
def _() -> Iterator[Pair]:
    for seed in range(20):
        table = rng(seed).integers(1, 20, (3, 4))
        yield cramers_v(table), math.sqrt(stats.chi2_contingency(table, correction=False)[0] / (table.sum() * 2))


@check("labels saved", "numpy", "interp of the score in the logarithm of the amount")
def _() -> Iterator[Pair]:
    from ser.results.studies.fewshot import worth

    for seed in range(20):
        r = rng(seed)
        amounts, scores = np.array([5, 10, 20, 50, 100.0]), np.sort(r.random(5))
        score = r.uniform(scores[0], scores[-1])
        yield worth(score, amounts.tolist(), scores.tolist())[0], np.exp(np.interp(score, scores, np.log(amounts)))


@check("novel recordings beyond chance", "scipy", "binom.sf, at most 0.01")
def _() -> Iterator[Pair]:
    from ser.predict.predictions import is_beyond_chance

    for novel, total in product(range(8), (1, 5, 20, 100, 300)):
        if novel <= total:
            yield is_beyond_chance(novel, total), novel > 0 and stats.binom.sf(novel - 1, total, 0.01) <= 0.01 + 1e-9


@check("Shapley values of modalities", "equation", "mean over all orders of what a player adds")
def _() -> Iterator[Pair]:
    for seed in range(10):
        players = ("a", "b", "c", "d")
        value = {
            c: float(rng(seed + len(c)).random() + rng(hash(tuple(sorted(c))) % 1000).random()) for c in coalitions_of(players)
        }
        for one in players:
            added = [
                value[frozenset(o[: o.index(one) + 1])] - value[frozenset(o[: o.index(one)])] for o in permutations(players)
            ]
            yield shapley(value, one), np.mean(added)


@check("neighbours alike", "equation", "by sorting all distances")
def _() -> Iterator[Pair]:
    for seed in range(10):
        x, labels = rng(seed).normal(size=(40, 3)), rng(seed).integers(0, 3, 40)
        order = np.linalg.norm(x[:, None] - x, axis=-1).argsort(1)[:, 1:11]
        pairs = [labels[i] == labels[j] for i in range(40) for j in range(40) if i != j]
        yield neighbours_alike(x, labels.astype(str))[:2], ((labels[order] == labels[:, None]).mean(), np.mean(pairs))


@check("word error rate", "jiwer", "wer")
def _() -> Iterator[Pair]:
    import jiwer

    from ser.extract.transcription.transcribe import word_errors

    words = ["the", "dog", "sat", "by", "a", "door", "and", "kids", "were", "talking"]
    for seed in range(40):
        r = rng(seed)
        said, heard = (" ".join(r.choice(words, int(r.integers(1, 15)))) for _ in range(2))
        found = word_errors([(said, heard)])
        assert found is not None
        yield found.rate, jiwer.wer(said, heard)


def batches(seed: int, classes: int = 4, rows: int = 16) -> Batch:
    torch.manual_seed(seed)
    labels = torch.randint(0, classes, (1, rows))
    return Batch(
        2 * torch.randn(1, rows, classes, dtype=torch.double),
        labels,
        torch.rand(1, classes, dtype=torch.double) + 0.1,
        torch.randint(1, 2000, (1, classes)),
        0.0,
        torch.randn(1, rows, 5, dtype=torch.double),
    )


def value(name: str, batch: Batch) -> float:
    return float(term(name)(batch.logits.shape[-1], 5).double()(batch)[0])


@check("loss cross_entropy", "torch", "cross_entropy(weight, label_smoothing)")
def _() -> Iterator[Pair]:
    for seed, smoothing in product(range(10), (0.0, 0.1, 0.5)):
        b = batches(seed)._replace(smoothing=smoothing)
        other = torch.nn.functional.cross_entropy(b.logits[0], b.labels[0], b.weights[0], label_smoothing=smoothing)
        yield value("cross_entropy", b), float(other)


@check("balanced class weights", "scikit-learn", "compute_class_weight('balanced')")
def _() -> Iterator[Pair]:
    from sklearn.utils.class_weight import compute_class_weight

    from ser.train.losses.cross_entropy import class_weights

    for seed in range(10):
        y = rng(seed).integers(0, 4, 30)
        counts = torch.tensor(np.bincount(y, minlength=4))
        yield class_weights(counts)[np.unique(y)].numpy(), compute_class_weight("balanced", classes=np.unique(y), y=y)


@check("loss cb_focal", "kornia", "focal_loss(gamma=2), times the weights of Cui et al. 2019")
def _() -> Iterator[Pair]:
    from kornia.losses import focal_loss

    for seed in range(10):
        b = batches(seed)
        w = (1 - 0.9999) / (1 - 0.9999 ** b.counts[0].double())
        w = w / w.sum() * 4
        each = focal_loss(b.logits[0], b.labels[0], alpha=None, gamma=2.0, reduction="none").sum(-1)
        yield value("cb_focal", b), float((w[b.labels[0]] * each).mean())


@check("loss supcon", "pytorch-metric-learning", "SupConLoss(temperature=0.07)")
def _() -> Iterator[Pair]:
    from pytorch_metric_learning.losses import SupConLoss

    for seed in range(10):
        b = batches(seed)
        assert b.embedding is not None
        yield value("supcon", b), float(SupConLoss(temperature=0.07)(b.embedding[0], b.labels[0]))


@check("losses bce, mse, huber, kl", "torch", "the functions of these names")
def _() -> Iterator[Pair]:
    f = torch.nn.functional
    for seed in range(10):
        b = batches(seed)
        torch.manual_seed(seed)
        y, v = (torch.rand(16, 4) < 0.3).double(), torch.randn(16, 4, dtype=torch.double)
        q = torch.distributions.Dirichlet(torch.ones(4, dtype=torch.double)).sample((16,))
        x = b.logits[0]
        yield (
            value("bce", b._replace(target=y[None])),
            float(f.binary_cross_entropy_with_logits(x, y, pos_weight=b.weights[0])),
        )
        yield value("mse", b._replace(target=v[None])), float(f.mse_loss(x, v))
        yield value("huber", b._replace(target=v[None])), float(f.huber_loss(x, v))
        yield value("kl", b._replace(target=q[None])), float(f.kl_div(x.log_softmax(-1), q, reduction="batchmean"))


@check("loss soft_cross_entropy", "torch", "cross_entropy of shares, times n / (sum of w q)")
def _() -> Iterator[Pair]:
    for seed in range(10):
        b = batches(seed)._replace(smoothing=0.1)
        torch.manual_seed(seed)
        q = torch.distributions.Dirichlet(torch.ones(4, dtype=torch.double)).sample((16,))
        other = torch.nn.functional.cross_entropy(b.logits[0], q, b.weights[0], label_smoothing=0.1)
        yield value("soft_cross_entropy", b._replace(target=q[None])), float(other * 16 / (q * b.weights[0]).sum())


@check("loss ccc", "audmetric", "1 - concordance_cc, mean over the dimensions")
def _() -> Iterator[Pair]:
    import audmetric

    for seed in range(10):
        b = batches(seed)
        v = torch.randn(1, 16, 4, dtype=torch.double)
        each = [1 - audmetric.concordance_cc(v[0, :, k].numpy(), b.logits[0, :, k].numpy()) for k in range(4)]
        yield value("ccc", b._replace(target=v)), np.mean(each)


@check("losses asymmetric, emd, prototype", "equation", "Ridnik et al. 2021; Hou et al. 2016; Yang et al. 2018")
def _() -> Iterator[Pair]:
    for seed in range(5):
        b = batches(seed)
        x, y = b.logits[0].numpy(), (rng(seed).random((16, 4)) < 0.3).astype(float)
        p, w = 1 / (1 + np.exp(-x)), b.weights[0].numpy()
        shifted = np.maximum(p - 0.05, 0)
        each = [
            -(w[k] * math.log(p[i, k]) if y[i, k] else shifted[i, k] ** 4 * math.log(1 - shifted[i, k]))
            for i, k in product(range(16), range(4))
        ]
        yield value("asymmetric", b._replace(target=torch.tensor(y)[None])), np.mean(each)
        q, guess = rng(seed).dirichlet(np.ones(4), 16), softmax(x, axis=1)
        gaps_ = [sum((q[i, : k + 1].sum() - guess[i, : k + 1].sum()) ** 2 for k in range(4)) / 4 for i in range(16)]
        yield value("emd", b._replace(target=torch.tensor(q)[None])), np.mean(gaps_)
        loss = term("prototype")(4, 5).double()
        m = next(loss.parameters())[0].detach().numpy()
        assert b.embedding is not None
        d = ((b.embedding[0].numpy()[:, None] - m) ** 2).sum(-1)
        own = d[np.arange(16), b.labels[0]]
        yield float(loss(b).detach()[0]), np.mean(own + np.log(np.exp(-d).sum(1)) + 0.001 * own)


def sides(seed: int, rows: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    return torch.randn(1, rows, 5, dtype=torch.double), 1.5 * torch.randn(1, rows + 3, 5, dtype=torch.double) + 0.5


@check("mmd", "scikit-learn", "rbf_kernel, Gretton et al. 2012, equations 3 and 5")
def _() -> Iterator[Pair]:
    from sklearn.metrics.pairwise import rbf_kernel

    for seed, unbiased in product(range(8), (False, True)):
        x, y = sides(seed)
        widths, total = (0.5, 2.0), 0.0
        for s in widths:
            xx, yy, xy = (rbf_kernel(a[0], b[0], 1 / (2 * s)) for a, b in ((x, x), (y, y), (x, y)))
            n, m = xy.shape
            if unbiased:
                xx, yy = xx - np.eye(n), yy - np.eye(m)
            total += xx.sum() / (n * (n - unbiased)) + yy.sum() / (m * (m - unbiased)) - 2 * xy.mean()
        yield float(mmd.mmd2(x, y, torch.tensor(widths), unbiased)[0]), total


@check("coral", "pytorch-adapt", "CORALLoss; Sun & Saenko 2016, equations 1 to 3")
def _() -> Iterator[Pair]:
    from pytorch_adapt.layers import CORALLoss

    for seed in range(8):
        x, y = sides(seed)
        yield float(coral.coral(x, y)[0]), float(CORALLoss()(x[0], y[0]))


@check("gradient reversal, schedule of lambda", "pytorch-adapt", "GradientReversal; Ganin et al. 2016, section 5.2.2")
def _() -> Iterator[Pair]:
    from pytorch_adapt.layers import GradientReversal

    x = torch.randn(6, dtype=torch.double, requires_grad=True)
    (own,) = torch.autograd.grad(reverse(x, 0.3).pow(3).sum(), x)
    (other,) = torch.autograd.grad(GradientReversal(0.3)(x).pow(3).sum(), x)
    yield own, other
    for p in (0.0, 0.2, 1.0):
        yield alpha(p), 2 / (1 + math.exp(-10 * p)) - 1


@check("dann: loss of the discriminator", "torch", "binary_cross_entropy_with_logits, mean of each corpus, summed")
def _() -> Iterator[Pair]:
    f = torch.nn.functional.binary_cross_entropy_with_logits
    for seed in range(5):
        torch.manual_seed(seed)
        scores = torch.randn(1, 20, dtype=torch.double)
        other = f(scores[0, :10], torch.zeros(10).double()) + f(scores[0, 10:], torch.ones(10).double())
        yield float(domain_loss(scores)[0]), float(other)


@check("cdan: weights and joint features", "equation", "Long et al. 2018: 1 + exp(-H), f x g, loops")
def _() -> Iterator[Pair]:
    for seed in range(3):
        torch.manual_seed(seed)
        f, z = torch.randn(2, 6, 5, dtype=torch.double), torch.randn(2, 6, 3, dtype=torch.double)
        method = cdan.Method(3, 5).double()
        own = float(method(Side(f[:1], z[:1]), Side(f[1:], z[1:]), 0.5).detach()[0])
        total = 0.0
        for half, sign in ((0, 1), (1, -1)):
            g = softmax(z[half].numpy(), axis=1)
            w = 1 + np.exp((g * np.log(g)).sum(1))
            joint = torch.tensor(np.einsum("nk,ne->nke", g, f[half].numpy()).reshape(1, 6, 15))
            losses = np.logaddexp(0, sign * method.discriminator(joint)[0].detach().numpy())
            total += (w / w.mean() * losses).mean()
        yield own, total


@check("criterion dev", "equation", "You et al. 2019, as its code: numpy.cov and numpy.var")
def _() -> Iterator[Pair]:
    for seed in range(10):
        w, losses = rng(seed).gamma(1, size=30), rng(seed).exponential(size=30)
        eta = -np.cov(w * losses, w)[0, 1] / np.var(w, ddof=1)
        yield target_selection.controlled_risk(w, losses), np.mean(w * losses) + eta * np.mean(w) - eta


@check("criterion entropy", "pytorch-adapt", "minus EntropyLoss and DiversityLoss")
def _() -> Iterator[Pair]:
    from pytorch_adapt.layers import DiversityLoss, EntropyLoss

    for seed in range(10):
        torch.manual_seed(seed)
        z = torch.randn(1, 30, 4, dtype=torch.double)
        yield float(target_selection.information(z)[0]), -float(EntropyLoss()(z[0]) + DiversityLoss()(z[0]))


@check("log-mel, MFCC", "transformers", "audio_utils.spectrogram, mel_filter_bank (Slaney), in standard deviations")
def _() -> Iterator[Pair]:
    from scipy.fft import dct
    from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

    from ser.extract import encoder
    from ser.extract.options import EncoderOptions

    for name, rate, window, hop, bands, mode in (
        ("logmel", 16000, 400, 160, 64, "constant"),
        ("mfcc", 22050, 2048, 512, 128, "constant"),
    ):
        audio = (np.sin(np.arange(rate) ** 1.3 / 60) * 0.1 + rng(0).normal(0, 0.01, rate)).astype(np.float32)
        bank = mel_filter_bank(1 + window // 2, bands, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney")
        mel = spectrogram(
            audio.astype(np.float64), window_function(window, "hann"), window, hop, fft_length=window, power=2.0,
            center=True, pad_mode=mode, mel_filters=bank, mel_floor=1e-10,
        ).T  # fmt: skip
        if name == "logmel":
            other = np.log(mel)
        else:
            decibels = 10 * np.log10(mel)
            other = dct(np.maximum(decibels, decibels.max() - 80), axis=1, norm="ortho")[:, :39]
        own = encoder.load(name, "audio", EncoderOptions(level="utterance")).encode([audio])[0]
        both = np.concatenate([other.mean(0), other.std(0)])
        yield own / other.std(), both / other.std()


@check("Kaldi's filter bank", "kaldi-native-fbank", "OnlineFbank without dither; in natural logarithms")
def _() -> Iterator[Pair]:
    import kaldi_native_fbank as knf

    from ser.extract.models.kaldi_bands import kaldi_bands

    audio = (np.sin(np.arange(16000) ** 1.3 / 60) * 0.1 + rng(0).normal(0, 0.01, 16000)).astype(np.float32)
    for window in ("hamming", "povey"):
        options = knf.FbankOptions()
        options.frame_opts.dither, options.frame_opts.window_type = 0.0, window
        options.frame_opts.snip_edges, options.mel_opts.num_bins = True, 80
        online = knf.OnlineFbank(options)
        online.accept_waveform(16000, audio.tolist())
        online.input_finished()
        other = np.stack([online.get_frame(k) for k in range(online.num_frames_ready)])
        yield kaldi_bands(audio, 80, window).numpy(), other


def main() -> None:
    warnings.simplefilter("ignore")
    print("| number | beside | pairs | largest difference |\n| --- | --- | --- | --- |")
    missing = []
    words = sys.argv[1:]
    for number, package, what, of in CHECKS:
        if words and not any(word in number for word in words):
            continue
        try:
            name = "equation" if package == "equation" else f"{package} {version(package)}"
            found = [np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).max() for a, b in of()]
        except (ImportError, PackageNotFoundError):
            missing.append(f"{number}: {package}")
            continue
        print(f"| {number} | {name}: {what} | {len(found):,} | {max(found):.1e} |", flush=True)
    if missing:
        print("\nnot installed:", "; ".join(missing))


if __name__ == "__main__":
    main()
