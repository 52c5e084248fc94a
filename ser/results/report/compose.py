"""A report of one result or of several, composed of blocks, which the formats in `ser/results/report/formats` write down."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import convert

import ser
from ser.audit.record import AuditRecord
from ser.errors import ConfigError, SerError
from ser.files import require_new, require_new_beside
from ser.jsonfile import plain
from ser.registry import load, names
from ser.results.blocks import Block, Report, Section, Table, Text
from ser.results.cells import ABSENT, head_of, interval, number
from ser.results.records.comparison import ResultComparison
from ser.results.records.evaluation import Evaluation, OutputEvaluation
from ser.results.records.find import dataset_of, fact_of, stores_of
from ser.results.records.model import FewshotSummary, Summary
from ser.results.report.audit import audit_sections
from ser.results.report.background import overview, provenance_sections, stamps_and_notes
from ser.results.report.comparison import comparison_sections, difference_blocks, differences_in_words
from ser.results.report.evaluation import evaluation_sections, evaluations_of
from ser.results.report.score_rows import score_rows
from ser.results.report.summary import summary_sections
from ser.results.stored_result import StoredResult
from ser.results.studies import StudyRecord

FORMATS = "ser.results.report.formats"


def write_report(
    results: Sequence[str], folder: Path, form: str | None = None, output: Path | None = None, *, overwrite: bool = False
) -> Path:
    """Write a report of one result, or of several beside each other.

    Args:
        results: as `find_summary` takes them.
        folder: of the results.
        form: a plugin of `ser.results.report.formats`; None takes it from the ending of `output`, or `html`.
        output: the file; None: beside the first result, in place of an earlier report.
        overwrite: `output` may be there, and is written over.

    Returns:
        The file.

    Raises:
        ConfigError: an unknown result, format or ending; a file that is there; or the format needs a package that is not
            installed.
    """
    return report_of([StoredResult.find(name, folder) for name in results], form, output, overwrite=overwrite)


def report_of(
    results: Sequence[StoredResult], form: str | None = None, output: Path | None = None, *, overwrite: bool = False
) -> Path:
    """Write a report of results that have been read; arguments, result and errors as of `write_report`."""
    form = form or (_by_ending(output) if output else "html")
    plugin = load(FORMATS, form)
    if output is not None and output.suffix == ".json":
        raise ConfigError(f"--output {output} looks like a record", expected=f"a file ending in {plugin.ENDING}")
    if output is not None:
        require_new(output, overwrite)
        if not overwrite and hasattr(plugin, "FOLDER"):
            require_new_beside(output, output.with_name(f"{output.stem}{plugin.FOLDER}"))
    else:
        first = results[0].path
        more = f"-and-{len(results) - 1}-more" if len(results) > 1 else ""
        output = first.with_name(first.name.removesuffix(".json") + f"{more}.report{plugin.ENDING}")
    plugin.write(compose(results), output)
    return output


def _by_ending(output: Path) -> str:
    endings = {load(FORMATS, name).ENDING: name for name in names(FORMATS)}
    if output.suffix.lower() not in endings:
        raise ConfigError(f"--output {output}", expected=f"a file ending in {', '.join(sorted(endings))}, or --format")
    return str(endings[output.suffix.lower()])


def text_of(record: Any, path: Path) -> str:
    """A record of any kind, an object or its content as a dict, as text for the terminal that names its file."""
    from ser.results.records.kinds import model_of
    from ser.results.report.formats.terminal import render

    typed = convert(plain(record), model_of(record)) if isinstance(record, dict) else record
    return render(compose([StoredResult(path, typed)], full=False))


def lead_of(result: StoredResult) -> str:
    """The sentence that a result's report begins with, its score with the interval; of a comparison its differences too."""
    if isinstance(result.record, ResultComparison):
        names = difference_blocks(result.record)[0]
        return f"{names.text if isinstance(names, Text) else ''}\n{differences_in_words(result.record)}"
    blocks = [block for section in _sections(result, full=False)[:1] for block in section.blocks]
    return next((block.text for block in blocks if isinstance(block, Text) and block.lead), "")


def compose(results: Sequence[StoredResult], full: bool = True) -> Report:
    """Make a report: of one result its sections; of several a comparison, and then each with its sections.

    Args:
        full: with pictures, and with tables that are computed from the predictions.

    Raises:
        ConfigError: there is no result, one is named twice, kinds do not go together, or predictions are missing.
    """
    _refuse(results)
    rows = [row for result in results for row in score_rows(result.record)]
    about = [("generator", f"ser {ser.__version__}")]
    if len(results) == 1:
        return Report(_title(results[0]), _sections(results[0], full), rows, about)
    inner = [Section(_title(result), (), _sections(result, full)) for result in results]
    return Report(f"{len(results)} results compared", [_compared(results), *inner], rows, about)


def _title(result: StoredResult) -> str:
    return str(getattr(result.record, "experiment", "") or result.path.name.removesuffix(".json"))


def _sections(result: StoredResult, full: bool) -> list[Section]:
    record = result.record
    if isinstance(record, (Summary, FewshotSummary)):
        evaluations = evaluations_of(result, full) if full else []
        found = [*summary_sections(result, full), *evaluations]
    elif isinstance(record, StudyRecord):
        found = _study(result, full)
    elif isinstance(record, (Evaluation, OutputEvaluation)):
        return evaluation_sections(result, full)
    elif isinstance(record, ResultComparison):
        return comparison_sections(record)
    elif isinstance(record, AuditRecord):
        return audit_sections(record)
    else:
        expected = "a summary, a study, an evaluation, a comparison or an audit"
        raise ConfigError(f"there is no report of {result.path.name}", expected=expected, found=f"schema {record.schema}")
    return [*found, *(provenance_sections(result) if full else [])]


def _study(result: StoredResult, full: bool) -> list[Section]:
    """Headline and stamps, then the pictures, and the tables."""
    study: StudyRecord = result.record
    pictures: list[Block] = []
    if full:
        from ser.results.plotting.gallery import draw, kinds

        pictures = [draw(result, kind) for kind in kinds(result)]
    first, *others = study.blocks()
    top = [Text(study.lead(), lead=True), *stamps_and_notes(study), overview(result), *pictures, first]
    return [Section("Result", top), *([Section("Comparisons and details", others)] if others else [])]


def _refuse(results: Sequence[StoredResult]) -> None:
    if not results:
        raise ConfigError("a report of nothing", expected="one or several results")
    paths = [r.path for r in results]
    twice = [p for p in paths if paths.count(p) > 1]
    if twice:
        raise ConfigError(f"{twice[0].name} is named twice", action="Name each result once.")
    alone = [r for r in results if not (r.is_summary or isinstance(r.record, StudyRecord))]
    if alone and len(results) > 1:
        kind = re.sub("(?<!^)([A-Z])", r" \1", type(alone[0].record).__name__).lower()
        raise ConfigError(
            f"{alone[0].path.name} is of the kind '{kind}', which is reported by itself",
            expected="summaries and studies, whose evaluations come with them",
        )


def _compared(results: Sequence[StoredResult]) -> Section:
    """The pooled score of each, and the paired differences as of `ser results compare`; or the reason why there are none."""
    head = ["experiment", "dataset", "head", "features", "of"]
    rows: list[tuple[str, list[str]]] = []
    for result in results:
        record = result.record
        pooled = [row for row in score_rows(record) if row.split == "pooled"]
        pooled = [row for row in pooled if row.metric == pooled[0].metric]  # the first stands for the result
        for row in pooled[-1:] if result.is_summary else pooled:
            low, high = row.ci_95_low, row.ci_95_high
            over = interval(None if low is None or high is None else (low, high))
            names = [row.experiment, dataset_of(record), str(fact_of(record, "head") or ABSENT)]
            names += ["+".join(stores_of(record)) or ABSENT, row.of or "all test folds"]
            more = [number(row.mean), number(row.std), over, str(row.n), str(len(record.stamps))]
            rows.append((head_of(row.metric), names + more))
    metrics = {metric for metric, _ in rows}
    named = metrics.pop() if len(metrics) == 1 else "score"
    cells = [[*row[:5], row[5] if named == metric else f"{metric} {row[5]}", *row[6:]] for metric, row in rows]
    head += [named, "std", "95 % over runs", "runs", "stamps"]
    table = Table(f"Pooled {named} of each result", head, cells, left=5, note="Test predictions of all folds together.")
    return Section("Comparison", [*_tested(results, table)])


def _tested(results: Sequence[StoredResult], scores: Table) -> list[Block]:
    if not all(r.is_summary for r in results):
        words = "No test of differences: one of these is not an experiment. A study has the tests of its own parts."
        return [Text(words), scores]
    from ser.results.comparison.compare import compare_results

    try:
        found = compare_results([str(r.path) for r in results], results[0].path.parent)
    except SerError as error:
        return [Text(f"Not compared: {error.line()}", lead=True), scores]
    lead, *others = difference_blocks(found)
    return [lead, scores, *others]
