"""Several corpora as one: their rows one after another, over the classes and features that all of them have; sampling of them.

Speakers of a joint frame are named `corpus/speaker`; so are ids, where two corpora share one. A column `dataset` has the corpus
of each row.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import accumulate
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ser.audit.split_data import label_space
from ser.errors import ConfigError, StoreError
from ser.features.blocks import Block
from ser.features.normalise import BETWEEN_CORPORA
from ser.features.shared_audio import with_shared
from ser.features.stored_layers import one_layer
from ser.features.stores.layout import same_encoder
from ser.features.stores.streamed import concatenated
from ser.features.tensors import OpenDataset, Tensors, too_large
from ser.features.view_rows import joined
from ser.metadata import languages
from ser.metadata.ledger import is_imported
from ser.metadata.targets import DIMENSIONS, EMOTION, MIXED, parse_target
from ser.metadata.targets.dimensions import shared_scales
from ser.train.nn import streams
from ser.train.runs.options import FitOptions, refuse_what_is_of_classes

Rows = NDArray[np.int64]


def load(dataset: str, options: FitOptions) -> Tensors:
    """Load the dataset's tensors under the options' scheme and choice of features."""
    with _opened(dataset, options) as corpus:
        refuse_what_is_of_classes(options, list(corpus.table.ratings))
        return _tensors(corpus, options, too_large([corpus], options.memory, options.views))


def _opened(dataset: str, options: FitOptions) -> OpenDataset:
    return OpenDataset(dataset, options.workspace, options.named_stores, options.modalities)


def _tensors(corpus: OpenDataset, options: FitOptions, streamed: bool, classes: Sequence[str] | None = None) -> Tensors:
    data = corpus.tensors(options.scheme, classes=classes, views=options.views, target=options.target, streamed=streamed)
    return data if options.layer is None else one_layer(data, options.layer)


def load_shared(names: Sequence[str], options: FitOptions) -> list[Tensors]:
    """Load tensors of several corpora over the classes that all have, from stores of the same encoders.

    Dimensions have one scale: that of all corpora, or 0 to 1 where theirs differ.

    Raises:
        ConfigError: a corpus is named twice, they share fewer than two classes, or the scale of a dimension is not known.
        StoreError: features of two corpora are not of the same encoder.
    """
    twice = sorted({n for n in names if list(names).count(n) > 1})
    if twice:
        raise ConfigError(f"{twice[0]} is named twice", expected="different corpora")
    with ExitStack() as stack:
        corpora = [stack.enter_context(_opened(name, options)) for name in names]
        asked = [parse_target(options.target, corpus.table.ratings) for corpus in corpora]
        refuse_what_is_of_classes(options, list(corpora[0].table.ratings))
        if asked[0].kind == MIXED:
            raise ConfigError(
                f"target {asked[0].text} of several corpora",
                expected=f"{EMOTION}, or {','.join(asked[0].names)}: one of them at a time",
            )
        if asked[0].kind == DIMENSIONS:
            scales = shared_scales([corpus.table for corpus in corpora], asked[0].names)
            for corpus in corpora:
                corpus.bring_to(scales)
        each = [corpus.classes(options.scheme, options.target) for corpus in corpora]
        shared = [c for c in each[0] if all(c in other for other in each)]
        if len(shared) < 2 and asked[0].kind != DIMENSIONS:
            raise ConfigError(
                f"{' and '.join(names)} share {len(shared)} classes of scheme {options.scheme}",
                expected="two or more",
                found=" and ".join(", ".join(classes) for classes in each),
            )
        for name, corpus in zip(names[1:], corpora[1:], strict=True):
            same_encoders(names[0], corpora[0].identities, name, corpus.identities)
        streamed = too_large(corpora, options.memory, options.views)
        return with_shared([_tensors(corpus, options, streamed, shared) for corpus in corpora], corpora)


def identities(stores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The identity of each store, from the facts of a record or a head."""
    return {name: facts["identity"] for name, facts in stores.items()}


def same_encoders(here: str, ours: Mapping[str, Any], there: str, others: Mapping[str, Any]) -> None:
    """Refuse features of two corpora that are not of the same encoders.

    Args:
        here, there: names of the corpora.
        ours, others: store name -> its identity.

    Raises:
        StoreError: one lacks a store, or has it with another identity; the message names the difference.
    """
    for name in dict.fromkeys([*ours, *others]):
        store, other = ours.get(name), others.get(name)
        if store is not None and other is not None and not same_encoder(store, other):
            continue
        action = "Extract both with the same options, or name features that both have: --audio, --text."
        if store is None or other is None:
            lacking, of = (ours, here) if store is None else (others, there)
            found = f"{', '.join(lacking)} in {of}"
        else:
            differing = same_encoder(store, other)
            found = f"a difference in {', '.join(differing)}"
            if differing == ["names_sha256"]:
                found = "features of other names, or in another order"
                action = "ser store import --columns FIRST:LAST --overwrite takes the same of both, in the same order."
            elif is_imported(store) and is_imported(other):
                action = "If one program made both, declare it: ser store import --encoder NAME --overwrite, for each corpus."
        raise StoreError(
            f"the features of {here} and {there} are not of the same encoder",
            expected=f"{name} of the same identity in both",
            found=found,
            action=action,
        )


def join(parts: Sequence[Tensors]) -> Tensors:
    """Join corpora of the same classes and stores.

    Rows of the k-th begin at the sum of the lengths of those before it. `dropped` counts all of them; `table` and `stores`
    are the first's, and are read for the encoders, which are the same in all.
    """
    frames = [data.frame.assign(dataset=data.dataset) for data in parts]
    for frame in frames:
        known = frame["speaker"] != ""
        frame.loc[known, "speaker"] = frame["dataset"] + "/" + frame["speaker"]
    ids = pd.concat([f["utterance_id"] for f in frames])
    if ids.duplicated().any():
        for frame in frames:
            frame["utterance_id"] = frame["dataset"] + "/" + frame["utterance_id"]
    counts = [len(data.frame) for data in parts]
    blocks = [_joined([data.blocks[k] for data in parts], counts) for k in range(len(parts[0].blocks))]
    dropped: dict[str, int] = {}
    for data in parts:
        for reason, number in data.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + number
    return replace(
        parts[0],
        dataset="+".join(data.dataset for data in parts),
        frame=pd.concat(frames, ignore_index=True),
        labels=np.concatenate([data.labels for data in parts]),
        values=None if parts[0].values is None else np.concatenate([d.values for d in parts if d.values is not None]),
        untested=_untested(parts),
        blocks=tuple(blocks),
        dropped=dropped,
        views=joined([data.views for data in parts], counts),
    )


def _untested(parts: Sequence[Tensors]) -> NDArray[np.bool_] | None:
    """The rows of all corpora that are never tested; None where there are none."""
    if all(data.untested is None for data in parts):
        return None
    return np.concatenate([np.zeros(len(d.frame), dtype=bool) if d.untested is None else d.untested for d in parts])


def scheme_of(data: Tensors, options: FitOptions) -> str:
    """The label scheme in use; native for dimensions, in which none has a part: no choice of it makes another experiment."""
    return "native" if data.target.kind == DIMENSIONS else options.scheme


def _joined(blocks: Sequence[Block], counts: Sequence[int]) -> Block:
    """Join blocks: first the utterances of all, as many of each as `counts` says, then the views of all."""
    cut = [(b.values, c if b.offsets is None else int(b.offsets[c])) for b, c in zip(blocks, counts, strict=True)]
    values = concatenated([*(v[:end] for v, end in cut), *(v[end:] for v, end in cut)])
    if blocks[0].offsets is None:
        return replace(blocks[0], values=values)
    lengths = [(np.diff(b.offsets), c) for b, c in zip(blocks, counts, strict=True) if b.offsets is not None]
    each = np.concatenate([*(n[:c] for n, c in lengths), *(n[c:] for n, c in lengths)])
    return replace(blocks[0], values=values, offsets=np.concatenate([[0], np.cumsum(each)]))


def named_stamps(parts: Sequence[Tensors], each: Sequence[list[str]]) -> list[str]:
    """Stamps of several corpora: those that all of them carry once, the others with the corpus's name before them."""
    common = [s for s in each[0] if all(s in other for other in each)]
    return common + [f"{data.dataset}: {s}" for data, own in zip(parts, each, strict=True) for s in own if s not in common]


def short(names: Sequence[str]) -> str:
    """The names of corpora as a part of a file's name; the number of corpora where there are many."""
    return "+".join(names) if len(names) <= 4 else f"{len(names)}-corpora"


def starts_of(parts: Sequence[Tensors]) -> list[int]:
    """The position of the first row of each in `join` of them."""
    return list(accumulate((len(data.frame) for data in parts[:-1]), initial=0))


def target_of(data: Tensors) -> dict[str, str]:
    """The target as a record of several corpora states it; {} for classes."""
    return {} if data.values is None else {"learns": data.target.text}


def shared_facts(parts: Sequence[Tensors], options: FitOptions) -> dict[str, Any]:
    """The part of a record about corpora that are used together: names, languages, label space, normalisation."""
    normalize = options.normalize
    return {
        **target_of(parts[0]),
        "dataset": "+".join(data.dataset for data in parts),
        "scheme": scheme_of(parts[0], options),
        "normalize": normalize,
        "normalization": BETWEEN_CORPORA[normalize],
        "languages": {data.dataset: languages.spoken(data.frame) for data in parts},
        "label_space": label_space(parts),
    }


def sampled(data: Tensors, rows: Rows, seeds: Sequence[int], balance: str) -> Rows:
    """The rows that each run is trained on.

    Args:
        rows: the training part, `(m,)`.
        balance: `none`, or `corpus`: each corpus equally often in an epoch.

    Returns:
        `(m,)` for all runs alike; balanced, `(runs, drawn)`.
    """
    if balance == "none":
        return rows
    corpora = data.frame["dataset"].to_numpy()[rows]
    return np.stack([balanced(rows, corpora, seed) for seed in seeds])


def epoch_size(data: Tensors, rows: Rows) -> int:
    """The number of utterances of an epoch when these rows are balanced."""
    counts = data.frame["dataset"].iloc[rows].value_counts()
    return int(len(counts) * counts.max())


def balanced(rows: Rows, corpora: NDArray[np.object_], seed: int) -> Rows:
    """Rows of each corpus in equal numbers, for one run.

    The rows of the smaller corpora are repeated until each has as many as the largest: all rows equally often, as often as
    they fit, and for the rest rows that are drawn without replacement from the run's own stream. They are drawn once: all
    epochs have the same rows, each in another order. Class weights and counts are those of the sampled rows.

    >>> balanced(np.array([3, 5, 7, 9]), np.array(["a", "a", "a", "b"], dtype=object), 0).tolist()
    [3, 5, 7, 9, 9, 9]
    """
    places = [np.flatnonzero(corpora == name) for name in pd.unique(corpora)]
    most = max(map(len, places))
    times = np.empty(len(rows), dtype=np.int64)
    for number, own in enumerate(places):
        whole, rest = divmod(most, len(own))
        times[own] = whole
        times[np.random.Generator(streams.bits(seed, "balance", number)).permutation(own)[:rest]] += 1
    return np.repeat(rows, times)
