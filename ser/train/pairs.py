"""Two corpora for transfer: which, and over which classes and features."""

from typing import Any

from ser.errors import ConfigError, StoreError
from ser.features.tensors import Tensors, choose_dataset, load_tensors
from ser.workspace import Workspace


def choose_pair(workspace: Workspace, source: str | None, target: str | None) -> tuple[str | None, str]:
    """Source and target where the user named none or one: IEMOCAP -> CREMA-D where both are cached."""
    if target is None and source is None and workspace.stores("iemocap") and workspace.stores("cremad"):
        return "iemocap", "cremad"
    if target is None and source is not None:
        raise ConfigError(f"--source {source} without a target", expected="--target NAME")
    return source, target or choose_dataset(workspace)


def shared(target: str, source: str | None, space: Workspace, chosen: dict[str, Any]) -> tuple[Tensors, Tensors | None]:
    """Tensors of both corpora over the classes that both have, from stores of the same encoders."""
    there = load_tensors(target, space, **chosen)
    if source is None:
        return there, None
    if source == target:
        raise ConfigError(f"source and target are both {target}", expected="two corpora", action="Leave out --source.")
    here = load_tensors(source, space, **chosen)
    classes = [c for c in here.classes if c in there.classes]
    if len(classes) < 2:
        raise ConfigError(
            f"{source} and {target} share {len(classes)} classes of scheme {chosen['scheme']}",
            expected="two or more",
            found=f"{', '.join(here.classes)} and {', '.join(there.classes)}",
        )
    for name, store in here.stores.items():
        other = there.stores.get(name)
        if other is None or other["identity"] != store["identity"]:
            differs = sorted(k for k in store["identity"] if other and other["identity"].get(k) != store["identity"][k])
            raise StoreError(
                f"the features of {source} and {target} are not of the same encoder",
                expected=f"{name} of the same identity in both",
                found=f"a difference in {', '.join(differs)}" if other else f"{', '.join(there.stores)} in {target}",
                action="Extract both with the same options.",
            )
    both = {**chosen, "classes": classes}
    return load_tensors(target, space, **both), load_tensors(source, space, **both)
