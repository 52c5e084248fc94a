"""The sections of a report on a study: the picture, and the tables that the terminal shows."""

from collections.abc import Callable
from typing import Any

from ser.results.plotting.gallery import draw, kinds
from ser.results.records.find import dataset
from ser.results.records.names import ABLATION_SCHEMA, FEWSHOT_SCHEMA, MATRIX_SCHEMA, SEARCH_SCHEMA, TRANSFER_SCHEMA
from ser.results.records.result import Source
from ser.results.report import fewshots, matrices, studies, transfers
from ser.results.report.blocks import Block, Notice, Section, Text, table_of
from ser.results.report.summary import warnings
from ser.results.report.tables import interval, number


def study_sections(source: Source) -> list[Section]:
    """Headline and stamps, then pictures and tables."""
    study = source.result
    lead, tables = BODIES[source.schema](study)
    pictures: list[Block] = [draw(source, kind) for kind in kinds(source)]
    found = [Section("Result", [Text(lead, lead=True), *warnings(study), *pictures, tables[0]])]
    return [*found, *([Section("Comparisons and details", tables[1:])] if tables[1:] else [])]


def _pooled(metric: dict[str, Any]) -> str:
    between = f" (95 % over runs {interval(metric['ci_95'])})" if metric["ci_95"] and metric["n"] > 2 else ""
    return f"{number(metric['mean'])}{between}"


def _transfer(study: dict[str, Any]) -> tuple[str, list[Block]]:
    first, *others = study["variants"]
    best = max(others, key=lambda v: v["pooled"]["UA"]["mean"], default=first)
    lead = f"UA on {dataset(study)}: {first['name']} {_pooled(first['pooled']['UA'])}"
    lead += f", highest {best['name']} {_pooled(best['pooled']['UA'])}, {best['pooled']['UA']['n']} runs."
    tables: list[Block] = [
        table_of("Scores of each variant", transfers.variant_rows(study), note=transfers.VARIANTS),
        table_of("Gains over source only", transfers.gain_rows(study), note=transfers.NOTE),
        _space(study),
    ]
    found = [transfers.suspect_line(s) for s in study["suspects"]]
    return lead, [*tables, *([Notice("Suspects", found)] if found else [])]


def _ablation(study: dict[str, Any]) -> tuple[str, list[Block]]:
    full = next(v for v in study["variants"] if v["name"] == study["full"])
    lead = f"UA of the full model on {dataset(study)}: {_pooled(full['pooled']['UA'])}."
    return lead, [
        table_of("Scores of each variant", studies.ablation_rows(study), left=3, note=studies.POOLED),
        table_of("The full model against each other variant", studies.difference_rows(study), note=studies.TESTS),
    ]


def _search(study: dict[str, Any]) -> tuple[str, list[Block]]:
    rows, note = studies.chosen_rows(study)
    lead = (
        f"Chosen: {studies.setting(study['chosen']['setting'])}, UA {_pooled(study['chosen']['pooled']['UA'])} on test."
    )
    tables: list[Block] = [
        table_of("Scores of what was chosen", rows, note=note),
        table_of("Settings on validation", studies.setting_rows(study), note=studies.search_note(study)),
    ]
    failed = studies.failed_settings(study)
    return lead, [*tables, *([Notice("Settings that failed", failed)] if failed else [])]


def _matrix(study: dict[str, Any]) -> tuple[str, list[Block]]:
    lead = f"{len(study['datasets'])} corpora, each as source and as target: {', '.join(study['datasets'])}."
    tables: list[Block] = [
        table_of("UA, source by target", matrices.matrix_rows(study), note=matrices.NOTE),
        _space(study),
    ]
    found = matrices.suspect_lines(study)
    return lead, [*tables, *([Notice("Suspects", found)] if found else [])]


def _fewshot(study: dict[str, Any]) -> tuple[str, list[Block]]:
    last = {m["name"]: m["curve"][-1] for m in study["methods"]}
    best = max(last, key=lambda name: last[name]["pooled"]["UA"]["mean"])
    lead = f"{len(last)} methods on {dataset(study)}; at {last[best]['amount']} highest is {best}, UA "
    lead += f"{_pooled(last[best]['pooled']['UA'])}."
    tables: list[Block] = [
        table_of(
            "UA over the amount of labelled target data", fewshots.curve_rows(study), note=fewshots.runs_note(study)
        ),
        table_of("All metrics at the largest amount", fewshots.best_rows(study)),
    ]
    if study["comparisons"]:
        rows = fewshots.minus_rows(study)
        tables.append(table_of(f"{study['reference']} against each other method", rows, left=2, note=fewshots.NOTE))
    if study["saved_labels"]:
        tables.append(table_of("Labels saved", fewshots.saved_rows(study), left=2, note=fewshots.WORTH))
    return lead, tables


def _space(study: dict[str, Any]) -> Notice:
    lines = [" ".join(line.split()) for line in transfers.space_lines(study["data"]["label_space"])]
    return Notice("Classes", lines, warning=False)


BODIES: dict[str, Callable[[dict[str, Any]], tuple[str, list[Block]]]] = {
    TRANSFER_SCHEMA: _transfer,
    ABLATION_SCHEMA: _ablation,
    SEARCH_SCHEMA: _search,
    MATRIX_SCHEMA: _matrix,
    FEWSHOT_SCHEMA: _fewshot,
}  # what a report has of each kind of study: a sentence, and tables
