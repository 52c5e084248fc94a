"""The list of encoders, and all about one, made from the folder of plugins. Nothing heavy is imported."""

from types import ModuleType

from ser import registry
from ser.extract.checkpoints import fetch_command
from ser.extract.encoder import ENCODERS, find
from ser.metadata import ledger
from ser.metadata.parsing import few, in_columns

HEADER: tuple[str, ...] = (
    "name", "modality", "features", "levels (default first)", "licence", "hub id", "corpora seen")  # fmt: skip
MOST = 3  # corpora named in a line; the rest is counted


def listing() -> list[str]:
    """A table: one line per encoder or checkpoint, under a line of headings."""
    plugins = {name: registry.load(ENCODERS, name) for name in registry.names(ENCODERS)}
    rows = [HEADER]
    for name in sorted(plugins, key=lambda n: (plugins[n].MODALITY, n)):
        rows += _rows(name, plugins[name])
    return in_columns(rows)


def _rows(name: str, plugin: ModuleType) -> list[tuple[str, ...]]:
    levels = ", ".join(plugin.LEVELS)
    if not plugin.CHECKPOINTS:
        return [(name, plugin.MODALITY, plugin.DIM, levels, plugin.LICENCE, "", _seen(name))]
    return [
        (short, plugin.MODALITY, str(known.dim), levels, known.licence or plugin.LICENCE, known.hub, _seen(short))
        for short, known in plugin.CHECKPOINTS.items()
    ]


def _seen(name: str) -> str:
    """Corpora that the ledger says an encoder has seen, or may have, in brief."""
    found = ledger.entry(name)
    if found is None or (found.otherwise == ledger.UNKNOWN and not found.seen):
        return "not known"
    surely = [c for c, status in found.seen.items() if status in (ledger.FINE_TUNING, ledger.PRE_TRAINING)]
    doubtful = [f"{c}?" for c, status in found.seen.items() if status == ledger.UNKNOWN]
    return few([*surely, *doubtful], MOST) or "none"


def description(name: str) -> list[str]:
    """All about one encoder: a family, a checkpoint's short name or hub id, or a folder.

    Raises:
        ConfigError: there is none of that name; the message lists those there are.
    """
    plugin = find(name)
    family = plugin.__name__.rsplit(".", 1)[-1]
    lines = [(plugin.__doc__ or "").strip(), ""]
    facts = {"family": family, "source": plugin.SOURCE, "modality": plugin.MODALITY, "levels": ", ".join(plugin.LEVELS)}
    hits = {s: c for s, c in plugin.CHECKPOINTS.items() if name in (s, c.hub, c.hub.split("/")[-1])}
    if hits:
        short, known = next(iter(hits.items()))
        facts |= {"name": short, "features": str(known.dim), "trained on": known.note}
        facts |= {"licence": known.licence or plugin.LICENCE, "hub id": known.hub, "download": fetch_command(known.hub)}
    else:
        facts["licence"] = plugin.LICENCE
        if plugin.CHECKPOINTS:
            facts["checkpoints"] = ", ".join(plugin.CHECKPOINTS)
        else:
            facts["features"] = plugin.DIM
    lines += [f"{key + ':':<13}{value}" for key, value in facts.items()]
    names = (facts["name"], facts["hub id"]) if hits else (name,)
    return [*lines, *(f"{'seen:' if n == 0 else '':<13}{text}" for n, text in enumerate(ledger.in_words(*names)))]
