"""Findings on the feature stores of a dataset: encoders that have seen the corpus, features made with the true label, and
imported features whose values are not what features should be.
"""

from collections.abc import Mapping
from typing import Any

from ser.audit.record import ERROR, INFO, WARNING, Finding, finding_on, over, share, some_names
from ser.audit.sharing import locate_copies
from ser.audit.split_data import SplitTable
from ser.features.stores.names import by_label, originals
from ser.features.stores.store import FeatureStore
from ser.features.value_checks import CheckedValues, check_values
from ser.metadata import ledger
from ser.metadata.texts import text_sources
from ser.workspace import Workspace

Identities = Mapping[str, Mapping[str, Any]]  # store -> identity of its encoder


def store_findings(workspace: Workspace, split: SplitTable) -> list[Finding]:
    """Find faults of the stores of the dataset, views among them.

    Raises:
        StoreError: a store of imported features is damaged.
    """
    dataset = split.table.dataset
    identities: dict[str, Mapping[str, Any]] = {}
    text: list[str] = []
    imported: dict[str, CheckedValues] = {}
    labels = dict(zip(split.frame["utterance_id"], (str(k) for k in split.labels), strict=True))
    for name in workspace.stores(dataset):
        with FeatureStore(workspace.store(dataset, name)) as store:
            identities[name] = store.facts.identity
            text += [name] if store.modality == "text" else []
            if ledger.is_imported(store.facts.identity):
                imported[name] = check_values(store, labels)
    simulated = [n for n in text if text_sources.is_simulated(text_sources.source_of(identities[n]), split.table.frame)]
    return [
        *encoder_findings({n: identities[n] for n in originals(list(identities))}, ledger.published(split.table.facts)),
        *_made_with_labels(identities, simulated),
        *_imported(imported, split),
    ]


def encoder_findings(identities: Identities, corpus: str) -> list[Finding]:
    """Find encoders that have seen a corpus (see `ledger.published`) in their own training, or of which that is not known."""
    said = {name: _seen(identity, corpus) for name, identity in identities.items()}
    met = [f"{name}: {words}" for name, words in said.items() if words]
    unknown = [name for name, words in said.items() if words is None]
    return [
        *finding_on(
            met,
            "encoder-seen",
            WARNING,
            "encoders that have seen this corpus",
            len(said),
            action="Their scores here are not of new data: compare with an encoder that has not seen it.",
        ),
        *finding_on(
            unknown,
            "encoder-unknown",
            INFO,
            "encoders whose training data are not known here",
            len(said),
            action="Read on the model's page whether it was trained on this corpus.",
        ),
    ]


def _seen(identity: Mapping[str, Any], corpus: str) -> str | None:
    """The training in which an encoder, or the recogniser of its text, has met a corpus; "" for none, None if not known."""
    own, heard = ledger.verdicts(corpus, str(identity.get("encoder", "")), identity)
    if own == ledger.NOT_IN_IT and not ("weights_sha256" in identity or ledger.is_imported(identity)):
        own = ledger.Verdict(ledger.CLEAN, "")  # no trained weights: signal processing has seen nothing
    met = (ledger.FINE_TUNING, ledger.PRE_TRAINING)
    found = [
        f"{what}{verdict.status} ({verdict.source})"
        for what, verdict in (("", own), ("recogniser: ", heard))
        if verdict.status in met
    ]
    return "; ".join(found) or (None if ledger.UNKNOWN in (own.status, heard.status) else "")


def _made_with_labels(identities: Identities, simulated: list[str]) -> list[Finding]:
    views = [f"{name}: scheme {by_label(identity)}" for name, identity in identities.items() if by_label(identity)]
    return [
        *finding_on(
            simulated,
            "simulated-text",
            WARNING,
            "stores of sentences that were chosen by the true label",
            len(identities),
            action="Scores with them measure no recognition: never compare them with others.",
        ),
        *finding_on(
            views,
            "label-views",
            INFO,
            "views that were chosen by the true label",
            len(identities),
            action="They are drawn for training utterances only, and refused elsewhere.",
        ),
    ]


def _imported(stores: Mapping[str, CheckedValues], split: SplitTable) -> list[Finding]:
    """Findings on the values of imported features, one for each kind, over all stores."""
    found = finding_on(
        (f"{name}: feature {k}" for name, seen in stores.items() for k in seen.label_features),
        "feature-tells-label",
        ERROR,
        "imported features that alone give the label away",
        action="Is it a column of labels? Import again with --columns, or --label, and --overwrite.",
    )
    crossings = {name: locate_copies(seen.twins, split.frame, split.folds) for name, seen in stores.items()}
    across = {name: pairs for name, pairs in crossings.items() if pairs.test_utterances}
    if across:
        worst = max(across, key=lambda name: across[name].test_utterances)
        tested = share(across[worst].test_utterances, split.tested)
        found.append(
            Finding(
                "features-shared",
                WARNING,
                "imported stores in which test and training have the same features",
                len(across),
                len(stores),
                f"{worst}: {tested} test utterances{over(len(split.folds))}",
                some_names(f"{name}: {a} = {b}" for name, pairs in across.items() for a, b in pairs.across),
                "Are these the same recordings, or does one row stand for all that is missing?",
            )
        )
    used = set(split.frame["utterance_id"])
    return found + finding_on(
        (f"{name}: {i}" for name, seen in stores.items() for i in seen.zeros if i in used),
        "features-zero",
        WARNING,
        "utterances whose imported features are all zero",
        len(used) * len(stores),
        action="If that stands for missing, leave them out of the files, and import again with --overwrite.",
    )
