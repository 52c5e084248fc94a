"""Choice of the dataset and the stores, where a user names none or gives a short name."""

from collections.abc import Sequence
from pathlib import Path

from ser.errors import ConfigError
from ser.features.stores.layout import MODALITIES
from ser.features.stores.names import CLASSES, JOINT, originals, split_name
from ser.features.stores.store import FeatureStore
from ser.metadata.table import Table
from ser.metadata.texts import text_sources
from ser.registry import unknown
from ser.workspace import Workspace


def choose_dataset(workspace: Workspace, option: str = "--dataset") -> str:
    """The only dataset of a workspace that has features.

    Args:
        option: of the command, which names another.

    Raises:
        ConfigError: there is none, or several: they are listed.
    """
    cached = [d for d in workspace.datasets() if originals(workspace.stores(d))]
    if len(cached) == 1:
        return cached[0]
    raise ConfigError(
        f"{len(cached)} datasets have features in {workspace.root.resolve()}",
        expected=f"one, or {option} NAME",
        found=", ".join(cached) or None,
        action=None if cached else "Extract some: ser extract --dataset NAME --root DIR",
    )


def open_stores(
    workspace: Workspace, table: Table, stores: Sequence[str] | None, modalities: Sequence[str] | None
) -> dict[str, FeatureStore]:
    """The stores to take, opened, by name: those named, or the only one of each modality.

    Stores of simulated text are taken by name only.

    Raises:
        ConfigError: none cached, an unknown name, or several of one modality and none named.
    """
    dataset = table.dataset
    cached = workspace.stores(dataset)
    if not cached or (not originals(cached) and not stores):
        raise ConfigError(
            f"{dataset} has no features in {workspace.features(dataset)}",
            expected=f"the store {stores[0]}" if stores else None,
            action=f"Extract some: ser extract --dataset {dataset} --audio egemaps",
        )
    if stores:
        names = dict.fromkeys(_named(word, cached, dataset, workspace) for word in stores)
        return {name: FeatureStore(workspace.store(dataset, name)) for name in names}
    opened = {name: FeatureStore(workspace.store(dataset, name)) for name in originals(cached)}
    try:
        chosen = _only_of_each_modality(dataset, opened, table, modalities, cached)
    except ConfigError:
        _close(opened)
        raise
    _close({name: store for name, store in opened.items() if name not in chosen})
    return {name: opened[name] for name in chosen}


def _close(stores: dict[str, FeatureStore]) -> None:
    for store in stores.values():
        store.close()


def _only_of_each_modality(
    dataset: str, opened: dict[str, FeatureStore], table: Table, modalities: Sequence[str] | None, cached: Sequence[str]
) -> list[str]:
    """Names of the only store of each modality; simulated text is left out."""
    by_modality: dict[str, list[str]] = {}
    simulated: list[str] = []
    for name, store in opened.items():
        source = text_sources.source_of(store.facts.identity) if store.modality == "text" else ""
        if store.modality == "text" and text_sources.is_simulated(source, table.frame):
            simulated.append(name)
        else:
            by_modality.setdefault(store.modality, []).append(name)
    wanted = list(modalities or [m for m in MODALITIES if m in by_modality])
    lacking = [m for m in wanted if m not in by_modality]
    if simulated and (not wanted or "text" in lacking):
        raise ConfigError(
            f"the only text of {dataset} is simulated, which leaks the label: {', '.join(simulated)}",
            action=f"To study that, name it: --text {simulated[0]}.",
        )
    if lacking:
        raise ConfigError(f"{dataset} has no {lacking[0]} features", found=f"stores {', '.join(cached)}")
    for modality in wanted:
        if len(by_modality[modality]) > 1:
            raise ConfigError(
                f"{dataset} has several stores of {modality} features: {', '.join(by_modality[modality])}",
                action=f"Choose with --{modality} NAME.",
            )
    return [by_modality[m][0] for m in wanted]


def _named(name: str, cached: list[str], dataset: str, workspace: Workspace) -> str:
    if name in cached:
        return name
    if "/" in name:  # the id of a model on a hub
        short = [c for c in originals(cached) if _model_of(workspace.store(dataset, c)) == name]
    else:
        short = [c for c in cached if _goes_by(c, *split_name(name))]
    if len(short) == 1:
        return short[0]
    if short:
        raise ConfigError(f"{dataset} has several stores of {name}: {', '.join(short)}", action="Name one of them.")
    raise unknown(f"store of {dataset}:", name, cached)


def _model_of(path: Path) -> object:
    with FeatureStore(path) as store:
        return store.facts.identity.get("model")


def _goes_by(store: str, name: str, view: str) -> bool:
    """True where a store may be called by a name: its encoder's, with `+asr` for the transcripts of any model."""
    whole, own = split_name(store)
    if whole.endswith(CLASSES):
        return False  # an encoder's name is not that of a classifier's answers
    short = whole.split(".")[0]
    return own == view and (short == name or (name.endswith(f"{JOINT}{text_sources.ASR}") and short.startswith(f"{name}-")))
