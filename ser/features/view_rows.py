"""Augmented views that training draws among: their rows lie after those of the utterances, in the blocks of audio features.

An utterance without some view (a class-differentiated one of an emotion that has no policy) is drawn among those it has.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.errors import ConfigError, StoreError
from ser.features.blocks import Block, StoreFacts, read_block, store_facts
from ser.features.stores.failures import read_failures
from ser.features.stores.names import MARK, by_label, named, source_as, view_stores
from ser.features.stores.store import FeatureStore
from ser.features.stores.streamed import Streamed, concatenated
from ser.metadata.labels import Scheme
from ser.metadata.parsing import few

NO_VIEW = -1


@dataclass(frozen=True, eq=False)
class ViewRows:
    """Rows of the augmented views of n utterances.

    Attributes:
        names: of the views.
        rows: `(n, views)`: the place of an utterance's view in a block, from n; `NO_VIEW` where it has none.
        stores: names of the blocks that have them; features of other blocks are always those of the utterance.
        facts: by name of the view's store, for the record: path, hashes and identity.
    """

    names: tuple[str, ...]
    rows: NDArray[np.int64]
    stores: frozenset[str]
    facts: dict[str, StoreFacts]

    def of(self, utterances: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of all views of some utterances."""
        rows = self.rows[utterances]
        return np.asarray(rows[rows != NO_VIEW])

    @property
    def schemes(self) -> dict[str, str]:
        """View -> label scheme, of the views that were chosen by the label."""
        found = {name.partition(MARK)[2]: by_label(facts["identity"]) for name, facts in self.facts.items()}
        return {view: scheme for view, scheme in found.items() if scheme}

    @property
    def stamp(self) -> str:
        """The sentence that a result must carry."""
        labelled = "".join(f"; {view} by the true label, scheme {scheme}" for view, scheme in self.schemes.items())
        return f"training utterances drawn among augmented views: original, {', '.join(self.names)}{labelled}"

    def only(self, stores: Sequence[str]) -> "ViewRows | None":
        """The views of some blocks."""
        kept = self.stores & set(stores)
        facts = {n: f for n, f in self.facts.items() if n.partition(MARK)[0] in kept}
        return replace(self, stores=kept, facts=facts) if kept else None


def load_view_rows(
    words: Sequence[str], folder: Path, blocks: Sequence[Block], opened: dict[str, FeatureStore], frame: pd.DataFrame
) -> tuple[list[Block], ViewRows]:
    """Append the views of the audio features to their blocks.

    Args:
        words: names of views, `all`, or `tta`.
        folder: of the dataset's stores.
        blocks: features of the utterances.
        opened: their stores, by name.
        frame: the utterances' rows of the table.

    Raises:
        ConfigError: no audio features, or a view is not there.
        StoreError: as `rows_of`.
    """
    ids = list(frame["utterance_id"])
    audio = [b.name for b in blocks if b.modality == "audio"]
    if not audio:
        raise ConfigError("--views are of audio, and there are no audio features", expected="--audio NAME")
    there = {name: view_stores(folder, name) for name in audio}
    views = named(words, list(there[audio[0]]), audio[0], folder.name)
    for name in audio[1:]:
        named(views, list(there[name]), name, folder.name)
    stores = {(n, v): FeatureStore(there[n][v]) for n in audio for v in views}
    try:
        has = np.ones((len(ids), len(views)), np.bool_)
        for (name, view), store in stores.items():
            has[:, views.index(view)] &= rows_of(store, opened[name], frame)
        rows = np.where(has, len(ids) + np.cumsum(has.T).reshape(has.T.shape).T - 1, NO_VIEW)
        chosen = {v: [i for i, yes in zip(ids, has[:, k].tolist(), strict=True) if yes] for k, v in enumerate(views)}
        grown = [_appended(b, [(stores[b.name, v], chosen[v]) for v in views]) if b.name in audio else b for b in blocks]
        facts = {f"{n}{MARK}{v}": store_facts(store, chosen[v]) for (n, v), store in stores.items()}
    finally:
        for store in stores.values():
            store.close()
    return grown, ViewRows(tuple(views), rows.astype(np.int64), frozenset(audio), facts)


def rows_of(view: FeatureStore, original: FeatureStore, frame: pd.DataFrame) -> NDArray[np.bool_]:
    """A mask of the utterances that a view has, `(n,)`; where it chose by the label, those of its classes.

    Args:
        frame: the utterances' rows of the table.

    Raises:
        StoreError: a view of other features or of other audio than the original, or by other labels than the table's; or it
            lacks an utterance that it should have, and that was not found impossible.
    """
    about = view.facts.identity
    identity = {k: v for k, v in about.items() if k != "view"}
    again = "Make it again: the `ser extract --views ...` that made it, with the options of the original."
    if identity != original.facts.identity or "view" not in about:
        differs = sorted(k for k in identity if identity.get(k) != original.facts.identity.get(k))
        raise StoreError(
            f"{view.path} is not a view of {original.path}",
            found=f"a difference in {', '.join(differs)}",
            action=f"{again[:-1]}, and --overwrite.",
        )
    classes = _classes(about["view"], frame)
    wanted = np.ones(len(frame), np.bool_) if classes is None else np.isin(classes, about["view"]["classes"])
    has = np.fromiter((i in view for i in frame["utterance_id"]), np.bool_, len(frame))
    failures = view.path.with_name(f"{view.path.name.removesuffix('.h5')}.failures.csv")
    lacking = frame["utterance_id"][wanted & ~has].tolist()
    if lacking and failures.exists():
        failed = read_failures(failures)
        lacking = [i for i in lacking if i not in failed]
    if lacking:
        raise StoreError(
            f"{view.path} lacks {len(lacking)} of {int(wanted.sum())} utterances: {few(lacking, 5)}",
            action="Give the `ser extract --views ...` again that made it: it goes on.",
        )
    both = frame["utterance_id"][has].tolist()
    own = original.index(both).sources
    if classes is not None:
        made_of = [source_as(bytes(s), c) for s, c in zip(own, classes[has], strict=True)]
        own = np.frombuffer(b"".join(made_of), np.uint8).reshape(-1, 32)
    others = (view.index(both).sources != own).any(axis=1)
    if others.any():
        what = "audio" if classes is None else "audio, or by other labels of the table,"
        raise StoreError(
            f"{view.path}: {int(others.sum())} utterances are views of other {what} than {original.path}", action=again
        )
    return has


def _classes(view: Mapping[str, Any], frame: pd.DataFrame) -> NDArray[Any] | None:
    """The class of each row under the scheme of a view that chose by it; None where it did not."""
    if not view.get("scheme"):
        return None
    scheme = Scheme(str(view["scheme"]), tuple(view["classes"]), dict(view["labels"]))
    return scheme.apply(frame).to_numpy(dtype=object)


def _appended(block: Block, more: Sequence[tuple[FeatureStore, list[str]]]) -> Block:
    """A block followed by the features of some utterances of other stores, read one store at a time; on disk, where it is."""
    if isinstance(block.values, Streamed):
        values = concatenated([block.values, *(read_block("", s, ids, streamed=True).values for s, ids in more)])
        assert isinstance(values, Streamed)
        return replace(block, values=values, offsets=None if block.offsets is None else values.offsets)
    ends = np.cumsum([len(block.values), *(int(store.offsets(ids)[-1]) for store, ids in more)]).tolist()
    values = np.empty((ends[-1], *block.values.shape[1:]), block.values.dtype)
    values[: ends[0]] = block.values
    offsets = [] if block.offsets is None else [block.offsets]
    for (store, ids), first, last in zip(more, ends, ends[1:], strict=False):
        read = read_block(block.name, store, ids)
        values[first:last] = read.values
        offsets += [] if read.offsets is None else [read.offsets[1:] + first]
    return replace(block, values=values, offsets=np.concatenate(offsets) if offsets else None)


def joined(each: Sequence["ViewRows | None"], counts: Sequence[int]) -> "ViewRows | None":
    """Join the views of corpora whose utterances lie one after another, with all views after them.

    Args:
        counts: utterances of each.

    Raises:
        ConfigError: corpora with other views.
    """
    some_views = [c for c in each if c is not None]
    if not some_views:
        return None
    first = some_views[0]
    if len(some_views) < len(each) or any(c.names != first.names for c in some_views):
        raise ConfigError("corpora with different views", expected="the same of each: name them with --views")
    for other in some_views[1:]:
        for name, facts in other.facts.items():
            if name in first.facts and facts["identity"] != first.facts[name]["identity"]:
                raise StoreError(f"{name} is not the same view in both corpora", action="Extract both with the same options.")
    rows, begin = [], sum(counts)
    for views, count in zip(some_views, counts, strict=True):
        rows.append(np.where(views.rows == NO_VIEW, NO_VIEW, views.rows - count + begin))
        begin += int((views.rows != NO_VIEW).sum())
    return replace(first, rows=np.concatenate(rows))
