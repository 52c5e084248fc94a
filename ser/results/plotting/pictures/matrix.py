"""Transfer matrix: every corpus as source and as target."""

from matplotlib.figure import Figure

from ser.results.plotting import heatmap
from ser.results.records.names import MATRIX_SCHEMA
from ser.results.records.result import Source

ORDER = 20


def fits(source: Source) -> bool:
    return source.schema == MATRIX_SCHEMA


def draw(source: Source, metric: str) -> Figure:
    return heatmap.matrix(source.result, metric)


def words(source: Source, metric: str) -> str:
    cells = [
        f"{c['source']} to {c['target']} {c['pooled'][metric]['mean']:.3f}" + (" (within)" if c["within"] else "")
        for c in source.result["cells"]
    ]
    return f"{metric.replace('_', ' ')}: {', '.join(cells)}."
