"""The kinds of pictures, from the folder `ser/results/plotting/pictures`: which fit a result, and drawing them."""

from dataclasses import dataclass

from matplotlib.figure import Figure

from ser.errors import ConfigError
from ser.registry import load, names, summary
from ser.results.records.result import Source

PICTURES = "ser.results.plotting.pictures"


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn picture.

    Attributes:
        kind: the plugin's name.
        about: what it shows, a line.
        figure: with its title.
        words: the same as text, for who does not see it.
    """

    kind: str
    about: str
    figure: Figure
    words: str


def kinds(source: Source) -> list[str]:
    """The kinds that fit a result, in the order of a report."""
    fitting = [name for name in names(PICTURES) if load(PICTURES, name).fits(source)]
    return sorted(fitting, key=lambda name: (load(PICTURES, name).ORDER, name))


def draw(source: Source, kind: str, metric: str = "UA") -> Picture:
    """A picture of a result.

    Args:
        metric: for those that show one.

    Raises:
        ConfigError: an unknown kind, or one that does not fit the result; what fits is listed.
    """
    plugin = load(PICTURES, kind)
    if not plugin.fits(source):
        fitting = ", ".join(kinds(source)) or "none of them"
        raise ConfigError(f"{source.path.name} has nothing for a picture of kind {kind}", expected=fitting)
    return Picture(kind, summary(plugin), plugin.draw(source, metric), plugin.words(source, metric))


def default_kind(source: Source) -> str:
    """What one wants to see first of a result.

    Raises:
        ConfigError: nothing fits it.
    """
    found = kinds(source)
    if not found:
        raise ConfigError(
            f"{source.path.name} has no picture", expected="a summary, a study or an evaluation", found=source.schema
        )
    return found[0]
