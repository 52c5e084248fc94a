"""The tables and feature stores that a record names, compared by hash with those that it was computed from."""

import hashlib

import numpy as np
import pandas as pd

from ser.errors import SerError
from ser.files import read_bytes
from ser.metadata.targets import EMOTION
from ser.results.metrics.measures import truth_columns
from ser.results.records.model import Opening
from ser.results.stored.verdict import Verdict
from ser.results.verification.data import Corpus, corpora, own_scheme
from ser.workspace import Workspace


def verify_data(record: Opening, space: Workspace, verdict: Verdict, labels: pd.DataFrame | None = None) -> list[str]:
    """Compare tables and stores with the hashes in a record's `data`; missing ones are listed.

    Args:
        labels: true labels of the predictions, see `runs.tested_labels`: compared with those of an unchanged table.

    Returns:
        The datasets whose tables and stores are there and have the same values.
    """
    unchanged = []
    for part in corpora(record):
        same = _table(part, space, verdict)
        if _stores(part, space, verdict) and same:
            unchanged.append(part.name)
        if same and labels is not None:
            _labels(part, space, labels, verdict)
    return unchanged


def _table(part: Corpus, space: Workspace, verdict: Verdict) -> bool:
    path = space.table(part.name)
    try:
        digest = hashlib.sha256(read_bytes(path)).hexdigest()
    except (OSError, ValueError) as error:
        reason = "is not in the workspace" if isinstance(error, FileNotFoundError) else f"cannot be read: {error}"
        verdict.missing.append(f"the table metadata/{path.name} {reason}")
        return False
    verdict.files += 1
    if digest != part.table:
        verdict.add(f"metadata/{path.name}, SHA-256", part.table, digest)
    return digest == part.table


def _stores(part: Corpus, space: Workspace, verdict: Verdict) -> bool:
    """Compare stores by the file's hash; where that differs, by the hash of the values, which merging does not change."""
    from ser.features.stores.store import FeatureStore

    same, name = True, part.name
    for store, known in part.facts.stores.items():
        where = f"features/{name}/{store}.h5"
        if store not in space.stores(name):
            verdict.missing.append(f"the feature store {where} is not in the workspace")
            same = False
            continue
        verdict.files += 1
        try:
            with FeatureStore(space.store(name, store)) as opened:
                digest = opened.sha256
            if digest == known.sha256:
                continue
            again = _values(part, store, space)
        except SerError as error:
            verdict.add(f"{where}, SHA-256", known.sha256, error.line())
            same = False
            continue
        if again != known.features_sha256:
            verdict.add(f"{where}, SHA-256 of the values", known.features_sha256, again)
            same = False
        else:
            verdict.missing.append(f"the feature store {where} was rewritten; its values are the same")
    return same


def _values(part: Corpus, store: str, space: Workspace) -> str:
    from ser.features.stored_layers import as_used
    from ser.features.tensors import load_tensors

    facts = part.facts
    scheme = own_scheme(facts.scheme, space)
    found = load_tensors(part.name, space, stores=list(facts.stores), scheme=scheme, **facts.asked)
    return str(as_used(found, facts.layers).stores[store]["features_sha256"])


def _labels(part: Corpus, space: Workspace, labels: pd.DataFrame, verdict: Verdict) -> None:
    """Compare the true labels, or values, of the predictions with the table's under the label scheme."""
    from ser.features.tensors import load_labels
    from ser.metadata.labels import load_scheme
    from ser.metadata.table import load_table

    name = part.name
    try:
        table = load_table(name, space)
        scheme, target = own_scheme(part.facts.scheme, space), part.facts.learns
        rule = load_scheme(scheme, table.frame)
        data = None if target == EMOTION else load_labels(name, space, scheme=scheme, **part.facts.asked)
    except SerError as error:
        verdict.missing.append(f"the labels of {name} cannot be compared: {error.line()}")
        return
    truth = dict(zip(table.frame["utterance_id"], rule.apply(table.frame), strict=True))
    rows = labels[labels["dataset"].isin([name, ""])]
    if not len(rows):
        return
    ids = rows["utterance_id"]
    ids = ids.str.removeprefix(f"{name}/") if ids.str.startswith(f"{name}/").all() else ids
    if data is not None and data.values is not None:
        columns = [c for c in truth_columns(rows) if c != "true"]
        place = {utterance: k for k, utterance in enumerate(data.frame["utterance_id"])}
        known = np.array([place.get(i, -1) for i in ids])
        verdict.numbers += len(rows) * len(columns)
        wrong = (known < 0) | (data.values[known] != rows[columns].to_numpy()).any(1)
        for k in np.flatnonzero(wrong)[:5].tolist():
            values = data.values[known[k]].tolist() if known[k] >= 0 else "nothing"
            verdict.add(f"true values of {name} {ids.iloc[k]}", rows[columns].iloc[k].tolist(), values)
    if "true" not in rows:
        return
    again = ids.map(truth)
    verdict.numbers += len(rows)
    for k in (again != rows["true"]).to_numpy().nonzero()[0][:5].tolist():
        verdict.add(f"true label of {name} {ids.iloc[k]}", rows["true"].iloc[k], again.iloc[k])
