"""`ser audit` as one call: table, folds and audio are examined, what is found is kept for every later record."""

import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ser.audit.examine import examine, subject_of
from ser.audit.finding import Finding
from ser.audit.measurements import listen
from ser.audit.recordings import LONGEST
from ser.audit.seen_corpora import encoders, not_known
from ser.audit.stores import store_findings
from ser.features.stores.names import originals
from ser.features.stores.store import FeatureStore
from ser.metadata import ledger
from ser.metadata.build import ensure_table
from ser.metadata.copies import write_copies
from ser.metadata.folds.fold import FoldOptions
from ser.metadata.folds.fold_file import save_folds
from ser.schema import write_json
from ser.workspace import Workspace

AUDIT = "audit"


def audit_file(workspace: Workspace, dataset: str, protocol: str) -> Path:
    """Where an audit is kept."""
    return workspace.results / f"{AUDIT}-{dataset}-{protocol}.json"


def audit_dataset(
    dataset: str,
    workspace: Workspace,
    *,
    root: Path | None = None,
    protocol: str | None = None,
    options: FoldOptions | None = None,
    scheme: str = "native",
    longest: float = LONGEST,
    audio: bool = True,
    jobs: int | None = None,
    write_folds: Path | None = None,
    more: Sequence[Finding] = (),
    quiet: bool = True,
    say: Callable[[str], None] | None = None,
) -> tuple[dict[str, Any], Path]:
    """Audit a dataset under a protocol; writes `results/audit-NAME-PROTOCOL.json` and `metadata/NAME.copies.json`.

    Args:
        root: the corpus folder; makes the table where there is none.
        protocol: None takes the one that fits the table.
        longest: s; longer utterances are told.
        audio: whether to decode the audio.
        write_folds: a CSV to write the folds to.
        more: findings from elsewhere.

    Returns:
        The audit, as `ser/results/audit.schema.json` describes it, and its file.

    Raises:
        ConfigError, CorpusError: no such dataset, or the protocol or scheme does not fit it.
    """
    started, clock = datetime.now(timezone.utc), time.monotonic()
    options = options or FoldOptions()
    table = ensure_table(dataset, workspace, root, say=say, quiet=quiet)
    subject = subject_of(table, protocol, options, scheme)  # what does not fit is told before the audio is read
    if write_folds is not None:
        save_folds(write_folds, subject.frame, subject.folds)
    sound = listen(table, workspace, jobs, quiet) if audio else None
    if sound is not None:
        write_copies(workspace, dataset, table.sha256, sound.copies)
        subject = replace(subject, table=replace(table, copies=sound.copies))
    found = [*encoders(_identities(workspace, dataset), table.facts.get("corpus"), _seen)]
    found += [*store_findings(workspace, subject), *more]
    audit = examine(subject, scheme, sound, longest, found)
    record = {
        **audit.record,
        "fold_options": {**vars(options), "file": options.file.name if options.file else None},
        "command": shlex.join(["ser", *sys.argv[1:]]),
        "time": {"started": started.isoformat(timespec="seconds"), "seconds": round(time.monotonic() - clock, 3)},
    }
    path = audit_file(workspace, dataset, subject.protocol)
    write_json(path, record, AUDIT)
    return record, path


def _seen(identity: Mapping[str, Any], corpus: str | None) -> str | None:
    """What the ledger says of an encoder, and of the recogniser of its text; see `ser.audit.seen_corpora.Seen`."""
    names = str(identity.get("encoder", "")), str(identity.get("model", ""))
    own = not_known(identity, corpus) if ledger.entry(*names) is None else _status(corpus, *names)
    recogniser = ledger.recogniser(identity)
    heard = _status(corpus, recogniser) if recogniser else ""
    said = "; ".join(words for words in (own, heard and f"recogniser: {heard}") if words)
    return said or (None if own is None or heard is None else "")


def _status(corpus: str | None, *names: str) -> str | None:
    known = ledger.entry(*names)
    status = known.status(corpus or "") if known else ledger.UNKNOWN
    if known and status in (ledger.FINE_TUNING, ledger.PRE_TRAINING):
        return f"{status} ({known.source})"
    return None if status == ledger.UNKNOWN else ""


def _identities(workspace: Workspace, dataset: str) -> dict[str, dict[str, Any]]:
    """Identity of the encoder of each of a dataset's stores."""
    found = {}
    for name in originals(workspace.stores(dataset)):
        with FeatureStore(workspace.store(dataset, name)) as store:
            found[name] = dict(store.attrs["identity"])
    return found
