"""A report of one result or of several, composed of blocks; the formats in `ser/results/report/formats` write them down."""

from collections.abc import Sequence

import ser
from ser.errors import ConfigError
from ser.results.records.names import EVALUATION_SCHEMA
from ser.results.records.result import Source
from ser.results.report.blocks import Report, Section
from ser.results.report.comparison import comparison_section
from ser.results.report.evaluation import evaluation_sections, evaluations_of
from ser.results.report.provenance import provenance
from ser.results.report.study import BODIES, study_sections
from ser.results.report.summary import summary_sections
from ser.results.report.tidy import tidy


def compose(sources: Sequence[Source]) -> Report:
    """A report: of one result its sections; of several a comparison, and then each with its sections.

    Raises:
        ConfigError: no result, one that is named twice, or an audit; or predictions or run records are missing.
    """
    _refuse(sources)
    rows = [row for source in sources for row in tidy(source)]
    about = [("generator", f"ser {ser.__version__}")]
    if len(sources) == 1:
        name = str(sources[0].result["experiment"])
        return Report(name, _sections(sources[0]), rows, about)
    inner = [Section(str(s.result["experiment"]), (), _sections(s)) for s in sources]
    return Report(f"{len(sources)} results compared", [comparison_section(sources), *inner], rows, about)


def _sections(source: Source) -> list[Section]:
    if source.schema == EVALUATION_SCHEMA:
        return evaluation_sections(source)
    body = [*summary_sections(source), *evaluations_of(source)] if source.is_summary else study_sections(source)
    return [*body, *provenance(source)]


def _refuse(sources: Sequence[Source]) -> None:
    if not sources:
        raise ConfigError("a report of nothing", expected="one or several results")
    names = [s.path for s in sources]
    twice = [p for p in names if names.count(p) > 1]
    if twice:
        raise ConfigError(f"{twice[0].name} is named twice", action="Name each result once.")
    evaluations = [s for s in sources if s.schema == EVALUATION_SCHEMA]
    if evaluations and len(sources) > 1:
        raise ConfigError(
            f"{evaluations[0].path.name} is an evaluation, and several results are asked for",
            expected="summaries and studies, whose evaluations come with them; or one evaluation by itself",
        )
    others = [s for s in sources if not s.is_summary and s.schema not in (*BODIES, EVALUATION_SCHEMA)]
    if others:
        raise ConfigError(
            f"there is no report of {others[0].path.name}",
            expected="a summary, a study or an evaluation",
            found=others[0].schema,
            action="See it with: ser results show",
        )
