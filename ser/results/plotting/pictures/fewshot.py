"""Score over the amount of labelled target data, a line a method, with the zero-shot line."""

from matplotlib.figure import Figure

from ser.results.plotting.fewshot_curves import chance_of, fewshot_curve, methods_of
from ser.results.records.names import FEWSHOT_SCHEMA
from ser.results.records.result import Source

ORDER = 20


def fits(source: Source) -> bool:
    return source.schema == FEWSHOT_SCHEMA or source.amount is not None


def draw(source: Source, metric: str) -> Figure:
    return fewshot_curve(source.result, metric)


def words(source: Source, metric: str) -> str:
    found = []
    if source.result.get("source"):
        found.append(f"no target data {source.result['source']['zero_shot']['pooled'][metric]['mean']:.3f}")
    for name, curve in methods_of(source.result).items():
        found.append(f"{name}: " + ", ".join(f"{p['amount']} {p['pooled'][metric]['mean']:.3f}" for p in curve))
    found += [f"chance {chance_of(source.result):.3f}"] if metric == "UA" else []
    return f"{metric.replace('_', ' ')}. " + "; ".join(found) + "."
