"""A result of a benchmark beside the published numbers; the list of benchmarks; rows of leaderboards."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ser.errors import ConfigError
from ser.results.benchmarks import Preset
from ser.results.blocks import Block, Notice, Section, Table, Text
from ser.results.cells import ABSENT, head_of, interval, number, over_runs, runs_interval, score
from ser.results.listing import list_results
from ser.results.records.find import stores_of
from ser.results.records.model import Summary
from ser.results.records.numbers import Metric
from ser.results.report.background import stamps_and_notes
from ser.results.stored_result import StoredResult


def benchmark_section(name: str, preset: Preset, record: Summary) -> Section:
    """Our value with its intervals, and each published one with the difference and its place in our interval over speakers."""
    own = measured(preset, record)
    speakers = record.pooled.of(preset.metric).ci_95_speakers or None
    rows = [
        ["ours", "+".join(stores_of(record)), score(own), over_runs(own), interval(speakers), "", ""],
        *(
            ["published", system, number(value), ABSENT, ABSENT, f"{own.mean - value:+.3f}", _place(value, own, speakers)]
            for system, value in sorted(preset.published.items(), key=lambda item: -item[1])
        ),
    ]
    metric = head_of(preset.metric)
    head = ["of", "system", metric, "95 % over runs", "95 % over speakers", "ours minus", "within our interval"]
    source = f"{'Published' if preset.published else 'Protocol'}: {preset.source}"
    note = f"{source}. Ours: {preset.average_in_words}. Over speakers: pooled over folds."
    lead = Text(f"{name}: {metric} {number(own.mean)} with {'+'.join(stores_of(record))}.", lead=True)
    blocks: list[Block] = [
        lead,
        Table("Beside the published values" if preset.published else "Ours", head, rows, left=2, note=note),
    ]
    remarks = [*preset.remarks, *_other_rows(preset, record)]
    blocks += stamps_and_notes(record)
    return Section("Benchmark", [*blocks, *([Notice("What differs", remarks)] if remarks else [])])


def measured(preset: Preset, record: Summary) -> Metric:
    """Our value of the benchmark's metric: over folds, or pooled."""
    return (record.test if preset.average == "folds" else record.pooled).of(preset.metric)


def _place(value: float, own: Metric, speakers: Sequence[float] | None) -> str:
    """`yes`, `above` or `below` for a published value, against the interval over speakers, or else over runs."""
    ends = speakers or runs_interval(own)
    if ends is None:
        return ABSENT
    return "yes" if ends[0] <= value <= ends[1] else "above" if value > ends[1] else "below"


def _other_rows(preset: Preset, record: Summary) -> list[str]:
    found = record.data.get("utterances")
    if preset.utterances is None or found == preset.utterances:
        return []
    return [f"The benchmark has {preset.utterances} utterances, this result {found}: the values are not of the same test."]


def list_of_benchmarks(presets: Mapping[str, Preset]) -> Table:
    """All benchmarks with their corpus and their highest published value."""
    rows = []
    for name, preset in presets.items():
        system, value = max(preset.published.items(), key=lambda item: item[1], default=(ABSENT, None))
        target = str(preset.options.get("target", "emotion"))
        target = str(preset.options["scheme"]) if target == "emotion" else target
        rows.append([name, preset.corpus, target, str(preset.options["protocol"]), preset.metric, number(value), system])
    head = ["benchmark", "corpus", "scheme or target", "protocol", "metric", "highest published", "by"]
    return Table("", head, rows, left=5)


def leaderboard(name: str, preset: Preset, record: Summary) -> dict[str, Any]:
    """A row as EmoBox's leaderboard has them: percentages of UA, WA and F1 with the system and the number of runs.

    `same_test` is false where the result is of other utterances than the benchmark's, and null where their number is not known.
    """
    of = record.test if preset.average == "folds" else record.pooled
    return {
        "benchmark": name,
        "dataset": record.data.get("dataset"),
        "model": "+".join(stores_of(record)),
        "head": record.config.get("head"),
        "runs": measured(preset, record).n,
        "utterances": record.data.get("utterances"),
        "same_test": None if preset.utterances is None else not _other_rows(preset, record),
        "stamps": record.stamps,
        **{metric: round(100 * value.mean, 2) for metric, value in of.items()},
        "command": record.command,
        "config_hash": record.config_hash,
    }


def exported(names: Mapping[str, Preset], results: Path) -> list[dict[str, Any]]:
    """A row of `leaderboard` for each finished record of benchmarks, with the record's name; the best model of each first.

    Those that are not of the same test follow, as they are no better or worse.

    Raises:
        ConfigError: a benchmark has no finished record.
    """
    lines, _ = list_results(results)
    records = {line.path: StoredResult.find(str(line.path), results) for line in lines if line.command == "benchmark"}
    rows: list[dict[str, Any]] = []
    for name, preset in names.items():
        of = re.compile(rf"\bser[ .]benchmark (?:\S+ )*?{re.escape(name)}(?: |$)")
        found = [
            {**leaderboard(name, preset, result.record), "record": path.name}
            for path, result in records.items()
            if isinstance(result.record, Summary) and of.search(result.record.command)
        ]
        if not found:
            raise ConfigError(
                f"there is no finished result of benchmark {name}",
                expected=f"a record in {results}",
                action=f"Run it: ser benchmark {name} --audio STORE",
            )
        rows += sorted(found, key=lambda row: (row["same_test"] is False, -row[preset.metric]))
    return rows


def export_table(rows: Sequence[Mapping[str, Any]], presets: Mapping[str, Preset]) -> Table:
    """Rows of `exported` with the columns of EmoBox's leaderboard: a rank within each benchmark, UA, WA and macro F1.

    A result that is not of the same test has no rank. A benchmark that is judged by another metric has a column for it.
    """
    metrics = dict.fromkeys(("UA", "WA", "Macro_F1", *(preset.metric for preset in presets.values())))
    shown = [metric for metric in metrics if any(metric in row for row in rows)]
    cells, rank, before = [], 0, None
    for row in rows:
        rank, before = (rank + 1 if row["benchmark"] == before else 1), row["benchmark"]
        scores = [f"{row[metric]:.2f}" if metric in row else ABSENT for metric in shown]
        place = "" if row["same_test"] is False else str(rank)
        facts = [str(row[name]) for name in ("head", "runs", "utterances", "record")]
        cells.append([place, row["benchmark"], row["model"], *scores, *facts])
    heads = ["F1" if metric == "Macro_F1" else head_of(metric) for metric in shown]
    return Table("", ["rank", "benchmark", "model", *heads, "head", "runs", "utterances", "record"], cells, left=3)
