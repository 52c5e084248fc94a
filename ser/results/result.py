"""Results as users have them: `ser.fit` and its siblings return them, `load_result` reads them; a notebook shows them."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ser.errors import ConfigError
from ser.results.stored_result import StoredResult
from ser.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class Result(StoredResult):
    """A result, which shows itself as its report does: in words, as a table, as pictures."""

    def __repr__(self) -> str:
        from ser.results.report.compose import lead_of

        name = str(self.get("experiment", self.path.name))
        lead = lead_of(self)
        return f"{name}\n{lead}" if lead else name

    def _repr_html_(self) -> str:
        """The first section of its report, for a notebook."""
        from ser.results.report.compose import compose
        from ser.results.report.formats.html import fragment

        return fragment(compose([self], full=False))

    def to_frame(self) -> "pd.DataFrame":
        """Its scores, one row for each metric of each part; of a comparison, one row for each pair.

        Returns:
            Columns as of `ser.results.blocks.ScoreRow`, then the ends of the 95 % interval over speakers; of a comparison `a`,
            `b`, `metric`, `difference`, the ends of its 95 % interval, `p` and `p_holm`.
        """
        import pandas as pd

        from ser.results.blocks import ScoreRow
        from ser.results.records.comparison import ResultComparison
        from ser.results.report.score_rows import over_speakers, score_rows

        if isinstance(self.record, ResultComparison):
            metric = self.record.metric
            rows: Sequence[tuple[Any, ...]] = [
                (p.a, p.b, metric, p.difference, *(p.ci_95 or (None, None)), p.p, p.p_holm) for p in self.record.pairs
            ]
            names = ["a", "b", "metric", "difference", "ci_95_low", "ci_95_high", "p", "p_holm"]
        else:
            pairs = zip(score_rows(self.record), over_speakers(self.record), strict=True)
            rows = [(*row, *ends) for row, ends in pairs]
            names = [*ScoreRow._fields, "ci_95_speakers_low", "ci_95_speakers_high"]
        numbers = set(names).difference(["experiment", "of", "split", "a", "b", "metric", "n"])
        # Floats also where none is given, as the interval of two runs.
        found: pd.DataFrame = pd.DataFrame(rows, columns=names).astype(dict.fromkeys(numbers, float))
        return found

    def plot(self, kind: str | None = None, metric: str = "UA") -> "Figure":
        """Draw a picture, which a notebook shows.

        Args:
            kind: see `kinds_of_pictures`; None: the first that fits.
            metric: for the kinds that show one.

        Raises:
            ConfigError: an unknown kind, or one that does not fit; the message lists what fits.
        """
        from ser.results.plotting.gallery import draw, wanted

        (first, *_) = wanted(self, None if kind is None else [kind])
        return draw(self, first, metric).figure

    @property
    def kinds_of_pictures(self) -> list[str]:
        """The kinds that `plot` can draw of it."""
        from ser.results.plotting.gallery import kinds

        return kinds(self)

    def report(self, output: Path | str | None = None, form: str | None = None, *, overwrite: bool = False) -> Path:
        """Write its report, and return the file.

        Args:
            output: the file; None: beside the record, in place of an earlier report.
            form: a plugin of `ser.results.report.formats`; None takes it from the ending of `output`, or `html`.
            overwrite: `output` may be there, and is written over.

        Raises:
            ConfigError: an unknown format or ending; a file that is there; or the format needs a package that is not
                installed.
        """
        from ser.results.report.compose import report_of

        return report_of([self], form, None if output is None else Path(output), overwrite=overwrite)

    def compare(
        self, *others: "Result | Path | str", metric: str | None = None, allow: Sequence[str] = (), at: str | None = None
    ) -> "Result":
        """Compare with other results on the same test utterances, in pairs, as `ser results compare` does.

        Args:
            others: results, their files, or names of results of the same folder.
            metric, allow, at: as of `ser.results.comparison.compare.compare_results`.

        Returns:
            The comparison; it is not written, and there is no file at its `path`.

        Raises:
            ConfigError: they are not comparable, or a stamp voids it.
        """
        from ser.results.comparison.compare import compare_results

        folder = self.path.parent
        names = []
        for one in (self, *others):
            if not isinstance(one, (Result, Path, str)):
                raise ConfigError("a result to compare with", expected="a result, its file or its name", found=repr(one))
            names.append(str(one.path if isinstance(one, Result) else one))
        found = compare_results(names, folder, metric=metric, at=at, allow=allow)
        return Result.of(found, folder / f"{found.experiment}.json")


def load_result(name: str, workspace: Workspace | str | Path = ".") -> Result:
    """Read a result of a workspace, as `ser.fit` and its siblings return it.

    Args:
        name: its name, a beginning that no other has, or the path of its file.

    Raises:
        ConfigError: there is none, or its file is not valid.
    """
    return Result.find(name, open_workspace(workspace).results)
