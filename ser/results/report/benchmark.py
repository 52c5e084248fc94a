"""A result of a benchmark beside the published numbers; the list of benchmarks; a leaderboard's row."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser.results.benchmarks import Preset
from ser.results.records.find import stores_of
from ser.results.records.model import Metric, Summary
from ser.results.report.blocks import Block, Notice, Section, Table, Text
from ser.results.report.cells import ABSENT, head_of, interval, number, over_runs, score


def benchmark_section(name: str, preset: Preset, record: Summary) -> Section:
    """Our value with its intervals, and each published one with the difference and its place in our interval over speakers."""
    own = measured(preset, record)
    speakers = record.pooled.of(preset.metric).ci_95_speakers or None
    rows = [
        ["ours", "+".join(stores_of(record)), score(own), over_runs(own), interval(speakers), "", ""],
        *(
            [
                "published",
                system,
                number(value),
                ABSENT,
                ABSENT,
                f"{own.mean - value:+.3f}",
                _place(value, own, speakers),
            ]
            for system, value in sorted(preset.published.items(), key=lambda item: -item[1])
        ),
    ]
    metric = head_of(preset.metric)
    head = ["of", "system", metric, "95 % over runs", "95 % over speakers", "ours minus", "within our interval"]
    note = f"Published: {preset.source}. Ours: {preset.average_in_words}. Over speakers: pooled over folds."
    lead = Text(f"{name}: {metric} {number(own.mean)} with {'+'.join(stores_of(record))}.", lead=True)
    blocks: list[Block] = [lead, Table("Beside the published values", head, rows, left=2, note=note)]
    remarks = [*preset.remarks, *_other_rows(preset, record)]
    return Section("Benchmark", [*blocks, *([Notice("What differs", remarks)] if remarks else [])])


def measured(preset: Preset, record: Summary) -> Metric:
    """Our value of the benchmark's metric: over folds, or pooled."""
    return (record.test if preset.average == "folds" else record.pooled).of(preset.metric)


def _place(value: float, own: Metric, speakers: Sequence[float] | None) -> str:
    """`yes`, `above` or `below` for a published value, against the interval over speakers, or else over runs."""
    ends = speakers or own.ci_95
    if ends is None:
        return ABSENT
    return "yes" if ends[0] <= value <= ends[1] else "above" if value > ends[1] else "below"


def _other_rows(preset: Preset, record: Summary) -> list[str]:
    found = record.data.get("utterances")
    if preset.utterances is None or found == preset.utterances:
        return []
    return [
        f"The benchmark has {preset.utterances} utterances, this result {found}: the values are not of the same test."
    ]


def list_of_benchmarks(presets: Mapping[str, Preset]) -> Table:
    """All benchmarks with their corpus and their highest published value."""
    rows = []
    for name, preset in presets.items():
        system, value = max(preset.published.items(), key=lambda item: item[1])
        target = str(preset.options.get("target", "emotion"))
        target = str(preset.options["scheme"]) if target == "emotion" else target
        rows.append(
            [name, preset.corpus, target, str(preset.options["protocol"]), preset.metric, number(value), system]
        )
    head = ["benchmark", "corpus", "scheme or target", "protocol", "metric", "highest published", "by"]
    return Table("", head, rows, left=5)


def leaderboard(name: str, preset: Preset, record: Summary) -> dict[str, Any]:
    """A row as EmoBox's leaderboard has them: percentages of UA, WA and F1 with the system and the number of runs."""
    of = record.test if preset.average == "folds" else record.pooled
    return {
        "benchmark": name,
        "dataset": record.data.get("dataset"),
        "model": "+".join(stores_of(record)),
        "head": record.config.get("head"),
        "runs": measured(preset, record).n,
        **{metric: round(100 * value.mean, 2) for metric, value in of.items()},
        "command": record.command,
        "config_hash": record.config_hash,
    }
