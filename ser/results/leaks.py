"""Results of simulated text, which gives labels away: kept out of comparisons unless they are asked for by name."""

from collections.abc import Mapping, Sequence
from typing import Any

from ser.errors import ConfigError
from ser.metadata.texts import LEAKS
from ser.results.find import fact


def leaks(result: Mapping[str, Any]) -> bool:
    """Whether a summary or a study is stamped as of simulated text."""
    return any(LEAKS in stamp for stamp in result["stamps"])


def refuse_leaks(results: Mapping[str, Mapping[str, Any]], text: Sequence[str] = ()) -> None:
    """Refuse to compare results of simulated text.

    Args:
        results: name -> summary or study.
        text: stores of text that were asked for by name.

    Raises:
        ConfigError: one of them is, and none of its stores was named.
    """
    for name, result in results.items():
        stores = list(fact(dict(result), "stores") or ())
        if leaks(result) and not set(text) & set(stores):
            raise ConfigError(
                f"{name} is not compared: {LEAKS}",
                found=f"stores {', '.join(stores)}" if stores else None,
                action="To compare it all the same, name its store of text: --text NAME.",
            )
