"""Search: validation score of each setting that was trained to the end, best on top."""

from ser.results.cells import setting
from ser.results.plotting.bars import MANY, Estimate, points, points_note
from ser.results.plotting.style import FULL_NAMES, Figure, title
from ser.results.stored_result import StoredResult
from ser.results.studies import search

ORDER = 20


def fits(result: StoredResult) -> bool:
    return isinstance(result.record, search.Study)


def draw(result: StoredResult, metric: str) -> Figure:
    done = [s for s in result.record.settings if s.validation is not None]
    done.sort(key=lambda s: -s.validation.of(metric).mean)
    chosen = result.record.chosen.setting
    names = [setting(s.setting) + (" (chosen)" if s.setting == chosen else "") for s in done[:MANY]]
    figure = points(names, [Estimate.of(s.validation.of(metric)) for s in done[:MANY]], f"validation {FULL_NAMES[metric]}")
    cut = f"; the best {MANY} of {len(done)} settings" if len(done) > MANY else ""
    title(figure, result.record, f"on validation, not on test; {points_note(done[0].validation.of(metric))}{cut}")
    return figure


def words(result: StoredResult, metric: str) -> str:
    chosen = result.record.chosen
    own = setting(chosen.setting)
    return f"{result.record.counted()}; chosen {own}, with {metric} {chosen.pooled.of(metric).mean:.3f} on test."
