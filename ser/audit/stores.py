"""Findings on a dataset's feature stores: made with the true label, or made elsewhere and not what features should be."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ser.audit.finding import ERROR, INFO, WARNING, Finding, Subject, over, share, some
from ser.features.stores.store import FeatureStore
from ser.features.value_checks import CheckedValues, check_values
from ser.features.views import by_label
from ser.metadata.copies import crossing
from ser.metadata.ledger import is_imported
from ser.metadata.texts import text_sources
from ser.workspace import Workspace


def store_findings(workspace: Workspace, subject: Subject) -> list[Finding]:
    """Findings on all stores of the dataset, views among them.

    Raises:
        StoreError: a store of imported features is damaged.
    """
    identities: dict[str, Mapping[str, Any]] = {}
    text: list[str] = []
    looked: dict[str, CheckedValues] = {}
    labels = dict(zip(subject.frame["utterance_id"], (str(k) for k in subject.labels), strict=True))
    for name in workspace.stores(subject.table.dataset):
        with FeatureStore(workspace.store(subject.table.dataset, name)) as store:
            identities[name] = store.facts.identity
            text += [name] if store.modality == "text" else []
            if is_imported(store.facts.identity):
                looked[name] = check_values(store, labels)
    simulated = [
        n for n in text if text_sources.is_simulated(text_sources.source_of(identities[n]), subject.table.frame)
    ]
    return [*_made_of_labels(identities, simulated), *_imported(looked, subject)]


def _made_of_labels(identities: Mapping[str, Mapping[str, Any]], simulated: list[str]) -> list[Finding]:
    views = [f"{name}: scheme {by_label(identity)}" for name, identity in identities.items() if by_label(identity)]
    found = []
    if simulated:
        found.append(
            Finding(
                "simulated-text",
                WARNING,
                "stores of sentences that were chosen by the true label",
                len(simulated),
                len(identities),
                examples=some(simulated),
                action="Scores with them measure no recognition: never compare them with others.",
            )
        )
    if views:
        found.append(
            Finding(
                "label-views",
                INFO,
                "views that were chosen by the true label",
                len(views),
                len(identities),
                examples=some(views),
                action="They are drawn for training utterances only, and refused elsewhere.",
            )
        )
    return found


def _imported(looked: Mapping[str, CheckedValues], subject: Subject) -> list[Finding]:
    """What the values of imported features show, a finding a kind, over all stores."""
    found = []
    telling = {name: seen.telling for name, seen in looked.items() if seen.telling}
    if telling:
        found.append(
            Finding(
                "feature-tells-label",
                ERROR,
                "imported features that alone tell the label",
                sum(map(len, telling.values())),
                examples=some(f"{name}: feature {k}" for name, numbers in telling.items() for k in numbers),
                action="Is it a column of labels? Import again with --columns, or --label, and --overwrite.",
            )
        )
    crossings = {name: crossing(seen.twins, subject.frame, subject.folds) for name, seen in looked.items()}
    across = {name: pairs for name, pairs in crossings.items() if pairs.test_utterances}
    if across:
        worst = max(across, key=lambda name: across[name].test_utterances)
        tested = share(across[worst].test_utterances, subject.tested)
        found.append(
            Finding(
                "features-shared",
                WARNING,
                "imported stores in which test and training have the same features",
                len(across),
                len(looked),
                f"{worst}: {tested} test utterances{over(len(subject.folds))}",
                some(f"{name}: {a} = {b}" for name, pairs in across.items() for a, b in pairs.across),
                "Are these the same recordings, or one row for all that is missing?",
            )
        )
    used = set(subject.frame["utterance_id"])
    zeros = {name: [i for i in seen.zeros if i in used] for name, seen in looked.items()}
    if any(zeros.values()):
        found.append(
            Finding(
                "features-zero",
                WARNING,
                "utterances whose imported features are all zero",
                int(np.sum([len(ids) for ids in zeros.values()])),
                len(used) * len(looked),
                examples=some(f"{name}: {i}" for name, ids in zeros.items() for i in ids),
                action="If that stands for missing, leave them out of the files, and import again with --overwrite.",
            )
        )
    return found
