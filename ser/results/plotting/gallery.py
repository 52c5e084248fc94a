"""The kinds of pictures, from the folder `ser/results/plotting/pictures`: the ones that fit a result, drawn and written."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ser.errors import ConfigError
from ser.files import require_folder, require_new
from ser.registry import has, load, names, resolve, summary, unknown
from ser.results.blocks import Picture, printable
from ser.results.plotting.style import FORMATS, save
from ser.results.records.numbers import METRICS, MORE_METRICS
from ser.results.stored_result import StoredResult
from ser.results.studies import StudyRecord
from ser.workspace import writing

PICTURES = "ser.results.plotting.pictures"
ALL = "all"


def kinds(result: StoredResult) -> list[str]:
    """The kinds that fit a result, in the order of a report."""
    fitting = [name for name in names(PICTURES) if load(PICTURES, name).fits(result)]
    return sorted(fitting, key=lambda name: (load(PICTURES, name).ORDER, name))


def draw(result: StoredResult, kind: str, metric: str = "UA") -> Picture:
    """Draw a picture of a result.

    Args:
        metric: for the kinds that show one; of a target that does not have it, the one that stands for a result.

    Raises:
        ConfigError: an unknown kind or metric, or a kind that does not fit the result; the message lists what fits.
    """
    plugin = load(PICTURES, kind)
    if not plugin.fits(result):
        fitting = ", ".join(kinds(result)) or "none of them"
        raise ConfigError(f"{result.path.name} has nothing for a picture of kind {kind}", expected=fitting)
    shown = _shown(result, metric)
    return Picture(kind, summary(plugin), plugin.draw(result, shown), printable(plugin.words(result, shown)))


def plot_into(
    result: StoredResult,
    *,
    kinds: Sequence[str] | None = None,
    formats: Sequence[str] | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    metric: str = "UA",
    title: bool = True,
) -> Iterator[Path]:
    """Draw pictures of a result, and give each file as it is written.

    Args:
        kinds: names of `ser.results.plotting.pictures`, own files, or `all`: those that fit; None: the first that fits.
        formats: of `png`, `svg`, `pdf`.
        output: a folder, or a file where there is one picture in one format; None: beside the result, in place of earlier
            pictures.
        overwrite: files in `output` may be there, and are written over.
        metric: for the kinds that show one.
        title: put experiment, dataset, n and the meaning of intervals above the picture.

    Raises:
        ConfigError: an unknown kind or format, a kind that does not fit, several pictures for one file, or a file that is
            there; nothing is drawn then.
    """
    asked = wanted(result, kinds)
    file = output if output is not None and not output.is_dir() and output.suffix else None
    endings = list(formats or [file.suffix[1:] if file else "png"])
    strange = [e for e in endings if f".{e}" not in FORMATS]
    if strange and not file:
        raise unknown("format", strange[0], [e[1:] for e in FORMATS])
    if file and (len(asked) * len(endings) > 1 or file.suffix[1:] not in endings):
        found = f"{', '.join(asked)} as {', '.join(endings)}"
        raise ConfigError(f"--output {output} is one file", expected="a folder, for several pictures or formats", found=found)
    folder, stem = output or result.path.parent, result.path.name.removesuffix(".json")
    places = {kind: [file or folder / f"{stem}.{_name(result, kind, metric)}.{e}" for e in endings] for kind in asked}
    if output is not None:
        if file is None:
            require_folder(output, made=True)
        for path in (path for paths in places.values() for path in paths):
            require_new(path, overwrite)
    for kind, paths in places.items():
        figure = draw(result, kind, metric).figure
        if not title:
            figure.suptitle("")
        for path in paths:
            save(figure, path)
            yield path


def _shown(result: StoredResult, metric: str) -> str:
    """The metric that pictures of a result show: `metric`, or the result's first where its target does not have this one."""
    if metric not in (*result.metrics, *METRICS, *MORE_METRICS):
        raise unknown("metric", metric, result.metrics)
    return metric if metric in result.metrics else result.metrics[0]


def _name(result: StoredResult, kind: str, metric: str) -> str:
    """The kind in the name of a file, with the metric where the picture shows another than the result's first."""
    plugin, shown, first = load(PICTURES, kind), _shown(result, metric), result.metrics[0]
    if shown == first or not plugin.fits(result) or plugin.words(result, shown) == plugin.words(result, first):
        return kind
    return f"{kind}.{shown}"


def write_beside(result: StoredResult) -> None:
    """Write the table of a study beside its record, as CSV and as the picture of its kind."""
    study: StudyRecord = result.record
    with writing(result.path.with_suffix(".csv")) as temporary:
        temporary.write_text(study.as_csv() or "", encoding="utf-8")
    save(draw(result, study.PICTURE).figure, result.path.with_suffix(f".{study.PICTURE}.png"))


def wanted(result: StoredResult, given: Sequence[str] | None) -> list[str]:
    """The kinds that were asked for: `given`, all that fit for `all`, the first that fits for None.

    Raises:
        ConfigError: an unknown kind, or none fits.
    """
    given = None if given is None else [resolve(PICTURES, kind) for kind in given]
    strange = [k for k in given or () if k != ALL and not has(PICTURES, k)]
    if strange:
        raise unknown("kind of picture", strange[0], [*names(PICTURES), ALL])
    if given and ALL not in given:
        return list(given)
    fitting = kinds(result)
    if not fitting:
        expected = "a summary, a study, or an evaluation that is of classes or with --suite"
        raise ConfigError(f"{result.path.name} has no picture", expected=expected, found=f"schema {result.record.schema}")
    return fitting if given else fitting[:1]
