"""A summary as text for the terminal. Pure and light: summary in, text out."""

from typing import Any

from ser.results.records.find import dataset, fact
from ser.results.records.kinds import studies
from ser.results.records.names import AUDIT_SCHEMA, COMPARISON_SCHEMA, EVALUATION_SCHEMA, METRICS
from ser.results.report.audit_text import audit_text
from ser.results.report.comparison_text import comparison_text
from ser.results.report.evaluation_text import evaluation_text
from ser.results.report.fewshots import samples
from ser.results.report.studies import study_text
from ser.results.report.tables import ABSENT, date, grid, interval, number
from ser.results.report.transfers import summary_parts

CONFIG = ("head", "loss", "stores", "normalize")
FEW_RUNS = 3  # with fewer, an interval over runs says nothing: with two, t is 12.7
FEW_UTTERANCES = 10  # of a speaker: with fewer, the UA is chance


def any_text(result: dict[str, Any], file: object) -> str:
    """A summary, a study, an audit, an evaluation or a comparison for the terminal."""
    if result["schema"] == AUDIT_SCHEMA:
        return audit_text(result)
    if result["schema"] == EVALUATION_SCHEMA:
        return evaluation_text(result, file)
    if result["schema"] == COMPARISON_SCHEMA:
        return comparison_text(result, file)
    return study_text(result, file) if result["schema"] in studies() else text(result, file)


def text(summary: dict[str, Any], file: object) -> str:
    """A whole summary for the terminal.

    Args:
        file: where the summary lies, for the last lines.
    """
    parts = [_facts(summary)]
    if "percentages" in summary:
        parts += _fewshot(summary)
    else:
        parts += [_metrics(summary), *_folds(summary.get("folds", {})), *_details(summary)]
    parts += summary_parts(summary)
    parts.append(_files(summary, file))
    return "\n\n".join(part for part in parts if part)


def _facts(summary: dict[str, Any]) -> str:
    runs = summary["runs"]
    number_of_runs = len({r["run"] for r in runs})
    folds = len({r["fold"] for r in runs})
    seconds = summary["time"]["seconds"]
    left_out = _left_out(summary["data"])
    rows = [
        ["experiment", summary["experiment"]],
        ["command", summary["command"]],
        ["runs", f"{_many(number_of_runs, 'run')} of {_many(folds, 'fold')}, {seconds:.0f} s"],
        ["date", f"{date(summary['time']['started'])} UTC"],
        ["data", _data(summary)],
        *([["left out", left_out]] if left_out else []),
        ["config", _config(summary)],
        ["code", _code(summary["environment"])],
    ]
    rows += [["stamp" if i == 0 else "", stamp] for i, stamp in enumerate(summary["stamps"])]
    rows += [["note" if i == 0 else "", note] for i, note in enumerate(summary.get("notes", []))]
    return "\n".join(f"{name:<10}  {value}" for name, value in rows)


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _data(summary: dict[str, Any]) -> str:
    words = [dataset(summary)]
    for key in ("scheme", "protocol"):
        value = fact(summary, key)
        words += [f"{key} {value}"] if value is not None else []
    if "percentages" not in summary:
        labels = summary["confusion_matrix"]["labels"]
        tested = sum(row["support"] for row in summary["per_class"].values())
        words.append(f"{len(labels)} classes, {tested:g} test utterances a run")
    return ", ".join(words)


def _left_out(data: dict[str, Any]) -> str:
    """Why utterances of the table are not in use, and how many; for few-shot of each dataset."""
    if "datasets" in data:
        found = {name: _left_out(part) for name, part in data["datasets"].items()}
        return "; ".join(f"{name}: {reasons}" for name, reasons in found.items() if reasons)
    return ", ".join(f"{reason}: {count}" for reason, count in data.get("dropped", {}).items())


def _config(summary: dict[str, Any]) -> str:
    words = []
    for key in CONFIG:
        value = fact(summary, key)
        if value not in (None, "", [], {}):
            words.append(f"{key} {'+'.join(map(str, value)) if isinstance(value, (list, dict)) else value}")
    return ", ".join([*words, f"hash {summary['config_hash']}"])


def _code(environment: dict[str, Any]) -> str:
    commit = environment.get("commit")
    changed = " with changes" if environment.get("modified") else ""
    at = f" at {commit[:10]}{changed}" if commit else ""
    torch = environment["packages"].get("torch")
    return f"ser {environment['ser']}{at}, Python {environment['python']}, torch {torch}, on {environment['device']}"


def _metric_rows(part: str, metrics: dict[str, Any]) -> list[list[str]]:
    rows = []
    for name in METRICS:
        m = metrics[name]
        mean = number(m["mean"]) + (f" ± {m['std']:.3f}" if m["std"] is not None else "")
        speakers = interval(m.get("ci_95_speakers"))
        rows.append([part if name == METRICS[0] else "", name, mean, _over_runs(m), speakers, str(m["n"])])
    return rows


def _over_runs(metric: dict[str, Any]) -> str:
    return interval(metric["ci_95"] if metric["n"] >= FEW_RUNS else None)


def _metrics(summary: dict[str, Any]) -> str:
    rows = [["", "", "mean ± std", "95 % over runs", "95 % over speakers", "runs"]]
    for part in ("validation", "test", "pooled"):
        rows += _metric_rows(part, summary[part]) if summary[part] is not None else []
    notes = "test: mean over the folds of a run. pooled: all folds' test predictions of a run together."
    return "\n".join([*grid(rows, left=2), notes])


def _folds(folds: dict[str, Any]) -> list[str]:
    """Test scores fold by fold, where there are several."""
    if len(folds) < 2:
        return []
    rows = [["fold", "utterances", *METRICS]]
    for name, fold in folds.items():
        scores = [
            f"{number(fold[m]['mean'])}" + (f" ± {fold[m]['std']:.3f}" if fold[m]["std"] is not None else "")
            for m in METRICS
        ]
        rows.append([name, str(fold["n"]), *scores])
    return ["\n".join(grid(rows))]


def _details(part: dict[str, Any]) -> list[str]:
    found = [_confusion(part["confusion_matrix"]), _classes(part["per_class"])]
    return [*found, *(_groups(part["groups"]) if "groups" in part else [])]


def _confusion(matrix: dict[str, Any]) -> str:
    labels, counts = matrix["labels"], matrix["counts"]
    rows = [["true \\ predicted", *labels, "recall"]]
    for i, row in enumerate(counts):
        recall = number(row[i] / sum(row)) if sum(row) else ABSENT
        rows.append([labels[i], *map(str, row), recall])
    return "\n".join([f"confusion matrix, counts over {_many(matrix['runs'], 'run')}", *grid(rows)])


def _classes(classes: dict[str, Any]) -> str:
    rows = [["class", "precision", "recall", "F1", "support"]]
    rows += [
        [name, number(v["precision"]), number(v["recall"]), number(v["F1"]), f"{v['support']:g}"]
        for name, v in classes.items()
    ]
    return "\n".join(grid(rows))


def _groups(groups: dict[str, Any]) -> list[str]:
    found = []
    if groups["gender"]:
        rows = [["gender", "UA", "WA", "utterances"]]
        rows += [[name, number(v["UA"]), number(v["WA"]), str(v["n"])] for name, v in groups["gender"].items()]
        gap = groups["gender_gap"]
        rows += [["gap", number(gap["UA"]), number(gap["WA"]), ""]] if gap else []
        found.append("\n".join(grid(rows)))
    return found + _speakers(groups["speaker"])


def _speakers(speakers: dict[str, Any]) -> list[str]:
    """The lowest and the highest speaker, of those with enough utterances."""
    enough = {name: v for name, v in speakers.items() if v["n"] >= FEW_UTTERANCES}
    if len(enough) < 2:
        return []
    order = sorted(enough, key=lambda name: (enough[name]["UA"], name))
    lowest, highest = ((name, enough[name]) for name in (order[0], order[-1]))
    fewer = len(speakers) - len(enough)
    left_out = f"; {fewer} with fewer than {FEW_UTTERANCES} utterances left out" if fewer else ""
    return [
        f"{len(enough)} speakers: UA from {number(lowest[1]['UA'])} ({lowest[0]}, n {lowest[1]['n']})"
        f" to {number(highest[1]['UA'])} ({highest[0]}, n {highest[1]['n']}){left_out}"
    ]


def _fewshot(summary: dict[str, Any]) -> list[str]:
    rows = [["target data", "utterances", *METRICS, "UA, 95 % over runs", "runs"]]
    source = summary.get("source")
    parts = [("none", "0", source["zero_shot"]["pooled"])] if source else []
    parts += [(name, samples(part["n_samples"]), part["pooled"]) for name, part in summary["percentages"].items()]
    for name, size, metrics in parts:
        means = [
            number(metrics[m]["mean"]) + (f" ± {metrics[m]['std']:.3f}" if metrics[m]["std"] is not None else "")
            for m in METRICS
        ]
        rows.append([name, size, *means, _over_runs(metrics["UA"]), str(metrics["UA"]["n"])])
    lines = grid(rows)
    if source:
        lines.append("none: the source model on the target's test set, before any target label.")
    if source and source["validation"]:
        ua = source["validation"]["UA"]
        lines.append(f"The source model on its own validation set: UA {number(ua['mean'])}.")
    last = list(summary["percentages"])[-1]
    details = _details(summary["percentages"][last])
    return ["\n".join(lines), f"at {last}:", *details]


def _files(summary: dict[str, Any], file: object) -> str:
    folder = summary["runs"][0]["record"].rpartition("/")[0]
    return f"summary     {file}\nruns        {folder or '.'}/ beside it: {len(summary['runs'])} records and predictions"
