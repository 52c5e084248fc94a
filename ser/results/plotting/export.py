"""Pictures of a result as files: which kinds, in which formats, under which names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from ser.errors import ConfigError
from ser.registry import names, unknown
from ser.results.plotting.gallery import PICTURES, default_kind, draw, kinds
from ser.results.plotting.style import FORMATS, save
from ser.results.records.result import Source

ALL = "all"


def plot_into(
    source: Source,
    *,
    kinds: Sequence[str] | None = None,
    formats: Sequence[str] | None = None,
    output: Path | None = None,
    metric: str = "UA",
    title: bool = True,
) -> Iterator[Path]:
    """Draw pictures of a result, and give each file as it is written.

    Args:
        kinds: names of `ser.results.plotting.pictures`, or `all`: those that fit; None takes what one wants to see first.
        formats: of `png`, `svg`, `pdf`.
        output: a folder, or a file where there is one picture in one format; None: beside the result.
        metric: for the pictures that show one.
        title: whether experiment, dataset, n and what intervals are stand above it.

    Raises:
        ConfigError: an unknown kind or format, a kind that does not fit, or several pictures for one file.
    """
    wanted = _kinds(source, kinds)
    one = output is not None and not output.is_dir() and output.suffix != ""
    endings = [output.suffix[1:]] if one and output is not None and not formats else list(formats or ["png"])
    strange = [e for e in endings if f".{e}" not in FORMATS]
    if strange and not one:
        raise unknown("format", strange[0], [e[1:] for e in FORMATS])
    if one and (
        len(wanted) * len(endings) > 1 or (formats and output is not None and output.suffix[1:] not in formats)
    ):
        raise ConfigError(
            f"--output {output} is one file",
            expected="a folder, for several pictures or formats",
            found=_list(wanted, endings),
        )
    return _written(source, wanted, endings, output, one, metric, title)


def _written(
    source: Source,
    wanted: list[str],
    endings: list[str],
    output: Path | None,
    one: bool,
    metric: str,
    title: bool,
) -> Iterator[Path]:
    name = source.path.name.removesuffix(".json")
    for kind in wanted:
        figure = draw(source, kind, metric).figure
        if not title:
            figure.suptitle("")
        for ending in endings:
            path = output if one and output is not None else (output or source.path.parent) / f"{name}.{kind}.{ending}"
            save(figure, path)
            yield path


def _kinds(source: Source, given: Sequence[str] | None) -> list[str]:
    if not given:
        return [default_kind(source)]
    if list(given) == [ALL]:
        return kinds(source) or [default_kind(source)]
    strange = [k for k in given if k not in names(PICTURES)]
    if strange:
        raise unknown("kind of picture", strange[0], [*names(PICTURES), ALL])
    return list(given)


def _list(wanted: Sequence[str], endings: Sequence[str]) -> str:
    return f"{', '.join(wanted)} as {', '.join(endings)}"
