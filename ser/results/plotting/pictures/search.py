"""Search: validation score of each setting that was tried, best on top."""

from matplotlib.figure import Figure

from ser.results.plotting.bars import points, points_note
from ser.results.plotting.style import FULL_NAMES, title
from ser.results.records.names import SEARCH_SCHEMA
from ser.results.records.result import Source
from ser.results.report.studies import setting

ORDER = 20
MANY = 40


def fits(source: Source) -> bool:
    return source.schema == SEARCH_SCHEMA


def draw(source: Source, metric: str) -> Figure:
    done = [s for s in source.result["settings"] if s["error"] is None]
    done.sort(key=lambda s: -s["validation"][metric]["mean"])
    chosen = source.result["chosen"]["setting"]
    names = [setting(s["setting"]) + (" (chosen)" if s["setting"] == chosen else "") for s in done[:MANY]]
    figure = points(names, [s["validation"][metric] for s in done[:MANY]], f"validation {FULL_NAMES[metric]}")
    cut = f"; the best {MANY} of {len(done)} settings" if len(done) > MANY else ""
    runs = done[0]["validation"][metric]["n"]
    title(figure, source.result, f"on validation, not on test; {points_note(runs)}{cut}")
    return figure


def words(source: Source, metric: str) -> str:
    chosen = source.result["chosen"]
    tried = f"{source.result['tried']} settings tried, {source.result['failed']} failed"
    return (
        f"{tried}; chosen {setting(chosen['setting'])}, with {metric} {chosen['pooled'][metric]['mean']:.3f} on test."
    )
