"""Reports as files: the formats are the plugins in `ser/results/report/formats`."""

from collections.abc import Sequence
from pathlib import Path

from ser.errors import ConfigError
from ser.registry import load, names
from ser.results.records.result import read_source
from ser.results.report.compose import compose

FORMATS = "ser.results.report.formats"


def write_report(results: Sequence[str], folder: Path, form: str | None = None, output: Path | None = None) -> Path:
    """Write a report of one result, or of several beside each other.

    Args:
        results: as `find_summary` takes them.
        folder: of the results.
        form: a plugin of `ser.results.report.formats`; None takes it from the ending of `output`, or `html`.
        output: the file; None: beside the first result.

    Returns:
        The file.

    Raises:
        ConfigError: an unknown result, format or ending; or the format needs a package that is not there.
    """
    sources = [read_source(name, folder) for name in results]
    form = form or (_by_ending(output) if output else "html")
    plugin = load(FORMATS, form)
    if output is None:
        first = sources[0].path
        more = f"-and-{len(sources) - 1}-more" if len(sources) > 1 else ""
        output = first.with_name(first.name.removesuffix(".json") + f"{more}.report{plugin.ENDING}")
    if output.suffix == ".json":
        raise ConfigError(f"--output {output} looks like a record", expected=f"a file ending in {plugin.ENDING}")
    plugin.write(compose(sources), output)
    return output


def _by_ending(output: Path) -> str:
    endings = {load(FORMATS, name).ENDING: name for name in names(FORMATS)}
    if output.suffix.lower() not in endings:
        raise ConfigError(f"--output {output}", expected=f"a file ending in {', '.join(sorted(endings))}, or --format")
    return str(endings[output.suffix.lower()])
