"""Results compared in pairs: the record that `ser results compare` prints and writes."""

import os
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import pandas as pd

from ser.results.metrics.classification import scores_from_counts
from ser.results.records.find import fact
from ser.results.records.names import COMPARISON_SCHEMA, METRICS, config_hash
from ser.results.records.stamps import refuse_void
from ser.results.records.summary import opening
from ser.results.statistics import differences, paired, power
from ser.results.statistics.comparability import Member, pair, read_members, tested_on
from ser.results.statistics.intervals import describe


def compare_results(
    names: Sequence[str],
    folder: Path,
    *,
    metric: str = "UA",
    at: str | None = None,
    allow: Sequence[str] = (),
    force: bool = False,
    output: Path | None = None,
    command: str = "ser.results.compare",
) -> dict[str, Any]:
    """Compare results in pairs, all with all.

    Args:
        names: of two results or more, or of studies, which stand for their experiments.
        folder: of the results.
        metric: that is tested.
        at: amount of target data, of few-shot results.
        allow, force: kinds of stamps that void a comparison, to be let through; see `ser.results.records.stamps`.
        output: where it will lie; records are named as seen from there.

    Returns:
        The comparison; nothing is written.

    Raises:
        ConfigError: they are not comparable, or a stamp voids it.
    """
    begun, clock = datetime.now(timezone.utc), time.perf_counter()
    members = read_members(names, folder, at)
    remarks = refuse_void({m.name: m.summary["stamps"] for m in members}, allow, force)
    members, pairing = pair(members)
    classes = members[0].classes
    letters = [_letter(k) for k in range(len(members))]
    asked = {
        "metric": metric,
        "compared": [[m.summary["experiment"], m.summary["config_hash"], m.amount] for m in members],
    }
    pairs = [
        {"a": letters[i], "b": letters[j], **_pair(members[i], members[j], classes, metric)}
        for i, j in combinations(range(len(members)), 2)
    ]
    shared = [s for s in members[0].summary["stamps"] if all(s in m.summary["stamps"] for m in members)]
    own = [f"{x}: {s}" for x, m in zip(letters, members, strict=True) for s in m.summary["stamps"] if s not in shared]
    head = opening(
        f"compare-{config_hash(asked)[:8]}", command, asked, _data(members), [*remarks, *shared, *own], begun, 0.0, "cpu",
        COMPARISON_SCHEMA,
    )  # fmt: skip
    return {
        **head,
        "time": {**head["time"], "seconds": round(time.perf_counter() - clock, 3)},
        "notes": [*pairing.notes, *_other_training(members)],
        "metric": metric,
        "paired_by": pairing.by,
        "runs": pairing.runs,
        "folds": pairing.folds,
        "compared": [_account(x, m, folder, output) for x, m in zip(letters, members, strict=True)],
        "pairs": paired.with_holm(pairs),
    }


def _letter(number: int) -> str:
    """A, B, ... Z, A1, B1, ..."""
    return ascii_uppercase[number % 26] + (str(number // 26) if number >= 26 else "")


def _data(members: Sequence[Member]) -> dict[str, Any]:
    first = members[0]
    one = first.frame[first.frame["run"] == first.frame["run"].iloc[0]]
    return {
        "dataset": tested_on(first.summary),
        "scheme": fact(first.summary, "scheme"),
        "protocol": fact(first.summary, "protocol"),
        "classes": first.classes,
        "utterances": len(one),
        "speakers": one["speaker"].nunique() if not (one["speaker"] == "").any() else None,
    }


def _other_training(members: Sequence[Member]) -> list[str]:
    """Where tests are the same but not what was trained on."""
    kinds = {str(fact({"data": {}, **m.summary}, "folds_sha256")) for m in members}
    several = len(kinds) > 1
    return (
        ["training or validation parts differ between the results; the test utterances are the same"] if several else []
    )


def _account(letter: str, member: Member, folder: Path, output: Path | None) -> dict[str, Any]:
    here = output.parent if output is not None else folder
    counts = paired.unit_counts(member.frame, member.classes, pd.Series("all", index=member.frame.index))
    values = scores_from_counts(counts[0])
    return {
        "name": letter,
        "experiment": member.summary["experiment"],
        "record": Path(os.path.relpath(member.path, here)).as_posix(),
        "command": member.summary["command"],
        "config_hash": member.summary["config_hash"],
        "head": str(fact(member.summary, "head") or ""),
        "features": list(fact(member.summary, "stores") or ()),
        "amount": member.amount,
        "stamps": member.summary["stamps"],
        "pooled": {name: describe(values[name]) for name in METRICS},
    }


def _pair(one: Member, other: Member, classes: list[str], metric: str) -> dict[str, Any]:
    frames = [one.frame, other.frame]
    found = paired.compare(one.frame, other.frame, classes, metric)
    known = found["tests"]["speakers"] is not None
    speakers = [paired.unit_counts(f, classes, f["speaker"].astype(str)) for f in frames]
    (a, b), who, where = paired.cell_counts(frames, classes)
    random = sum(not paired.is_copies(f) for f in frames)
    return {
        **found,
        "power": power.estimate(a, b, who, where, metric, known=known, random=random, p=found["p"]),
        "per_class": differences.by_class(speakers, classes, known),
        "gender": differences.by_gender(frames, classes, metric),
        "speaker": differences.by_speaker(frames, classes, metric),
    }
