"""Results compared in pairs: the record that `ser results compare` prints and writes."""

import os
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase

import pandas as pd
from msgspec.structs import asdict

from ser.errors import ConfigError
from ser.results.comparison.comparability import Member, pair, read_members, scheme_of, tested_on
from ser.results.metrics.intervals import metrics_over_runs, unit_counts
from ser.results.metrics.measures import MEASURES, measure_of
from ser.results.records.comparison import Compared, Pair, ResultComparison, TestedOn
from ser.results.records.find import fact_of, stores_of, word_of
from ser.results.records.names import config_hash
from ser.results.records.stamps import refuse_void
from ser.results.statistics import differences, gains, paired, power
from ser.results.stored.summary import opening


def compare_results(
    names: Sequence[str],
    folder: Path,
    *,
    metric: str | None = None,
    at: str | None = None,
    allow: Sequence[str] = (),
    force: bool = False,
    output: Path | None = None,
    command: str = "ser.results.compare",
) -> ResultComparison:
    """Compare results in pairs, all with all.

    Args:
        names: of two results or more, or of studies, which stand for their experiments.
        folder: of the results.
        metric: that is tested; None: the one that stands for a result of this target (UA of classes).
        at: amount of target data, of few-shot results.
        allow, force: kinds of stamps that void a comparison but are allowed; see `ser.results.records.stamps`.
        output: the file that it will be written to; records are named relative to its folder.

    Returns:
        The comparison; nothing is written.

    Raises:
        ConfigError: they are not comparable, or a stamp voids it.
    """
    begun, clock = datetime.now(timezone.utc), time.perf_counter()
    members = read_members(names, folder, at)
    remarks = refuse_void({m.name: m.summary.stamps for m in members}, allow, force)
    members, pairing = pair(members)
    classes = members[0].classes
    letters = [ascii_uppercase[k % 26] + str(k // 26 or "") for k in range(len(members))]  # A, B, ... Z, A1, B1, ...
    measure = measure_of(members[0].frame)
    metric = metric or measure.names[0]
    if metric not in measure.names:
        raise ConfigError(f"--metric {metric}: the results have other metrics", expected=", ".join(measure.names))
    asked = {"metric": metric, "compared": [[m.summary.experiment, m.summary.config_hash, m.amount] for m in members]}
    two = list(combinations(range(len(members)), 2))
    pairs = [_pair((letters[i], members[i]), (letters[j], members[j]), classes, metric) for i, j in two]
    shared = [s for s in members[0].summary.stamps if all(s in m.summary.stamps for m in members)]
    own = [f"{x}: {s}" for x, m in zip(letters, members, strict=True) for s in m.summary.stamps if s not in shared]
    stamps = [*remarks, *shared, *own]
    name, seconds = f"compare-{config_hash(asked)[:8]}", time.perf_counter() - clock
    return ResultComparison(
        **opening(name, command, asked, _data(members), stamps, begun, seconds, "cpu", trained=False),
        notes=[*pairing.notes, *_other_training(members)],
        metric=metric,
        paired_by=pairing.by,
        runs=pairing.runs,
        folds=pairing.folds,
        compared=[_compared(x, m, folder, output) for x, m in zip(letters, members, strict=True)],
        pairs=paired.adjusted(pairs),
    )


def _data(members: Sequence[Member]) -> TestedOn:
    first = members[0]
    one = first.frame[first.frame["run"] == first.frame["run"].iloc[0]]
    return TestedOn(
        dataset=tested_on(first.summary),
        scheme=scheme_of(first),
        protocol=word_of(first.summary, "protocol") or None,
        classes=first.classes,
        utterances=len(one),
        speakers=one["speaker"].nunique() if not (one["speaker"] == "").any() else None,
    )


def _other_training(members: Sequence[Member]) -> list[str]:
    """A note where the tests are the same but the training data are not."""
    if len({str(fact_of(m.summary, "folds_sha256")) for m in members}) < 2:
        return []
    return ["training or validation parts differ between the results; the test utterances are the same"]


def _compared(letter: str, member: Member, folder: Path, output: Path | None) -> Compared:
    here = output.parent if output is not None else folder
    counts = unit_counts(member.frame, member.classes, pd.Series("all", index=member.frame.index))
    return Compared(
        name=letter,
        experiment=member.summary.experiment,
        record=Path(os.path.relpath(member.path, here)).as_posix(),
        command=member.summary.command,
        config_hash=member.summary.config_hash,
        head=word_of(member.summary, "head"),
        features=stores_of(member.summary),
        amount=member.amount,
        stamps=member.summary.stamps,
        pooled=metrics_over_runs(measure_of(member.frame).scores(counts[0])),
    )


def _pair(a: tuple[str, Member], b: tuple[str, Member], classes: list[str], metric: str) -> Pair:
    """Two results compared, each with its letter; p is not adjusted, and None where too few runs are exchanged whole."""
    (a_letter, one), (b_letter, other) = a, b
    frames = [one.frame, other.frame]
    found = paired.compare(one.frame, other.frame, classes, metric)
    known = found.tests.speakers is not None
    speakers = [unit_counts(f, classes, f["speaker"].astype(str)) for f in frames]
    (left, right), who, where = paired.cell_counts(frames, classes)
    random = sum(not paired.is_copies(f) for f in frames)
    p = found.p
    if known and random and one.frame["fold"].nunique() == 1 and 1 < one.frame["run"].nunique() < gains.ENOUGH_RUNS:
        found.p = None
    return Pair(
        **asdict(found),
        a=a_letter,
        b=b_letter,
        power=power.estimate(left, right, who, where, metric, known=known, random=random, p=p),
        per_class=differences.by_class(speakers, classes, known) if measure_of(frames[0]) is MEASURES["emotion"] else {},
        gender=differences.by_gender(frames, classes, metric),
        speaker=differences.by_speaker(frames, classes, metric),
        p_holm=None,
    )
