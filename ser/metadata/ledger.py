"""The ledger: the corpora that an encoder has seen before it meets them here, with the source of each statement.

Statuses, the gravest first: `fine-tuning` (with emotion labels), `pre-training` (the audio or the text without labels),
`unknown` (the publisher does not say, or the data are drawn from where the corpus comes from), `clean` (the publisher's list
does not have the corpus). A corpus that a publisher does not rule out is not clean.

The facts stand in the encoders' plugins: `data` of a `Checkpoint`, and `TRAINING_DATA`, which maps patterns (`*`) of other
names to them. Encoders are matched by their short name or the last part of their hub id, in lower case, with `-` for `_`;
corpora go by the names of their plugins, and of EmoBox's files. A fine-tuned model that no plugin names is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from typing import Any, NamedTuple

from ser import registry

IMPORTED = "imported"  # the model of features that were made elsewhere, and the name that their table has for it
STATUSES = ("fine-tuning", "pre-training", "unknown", "clean")
FINE_TUNING, PRE_TRAINING, UNKNOWN, CLEAN = STATUSES


@dataclass(frozen=True)
class TrainingData:
    """The corpora that some encoders were trained on.

    Attributes:
        source: of the statement: a paper or a model card, and the facts that it leaves open.
        seen: corpus -> status.
        otherwise: status of all corpora that `seen` does not name.
    """

    source: str
    seen: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = CLEAN

    def status(self, corpus: str) -> str:
        """The status of a corpus: one of `STATUSES`."""
        return self.seen.get(corpus, self.otherwise)


class Verdict(NamedTuple):
    """The status of a corpus for a model, one of `STATUSES`, and the source of that statement."""

    status: str
    source: str


NOT_IN_IT = Verdict(UNKNOWN, "what it was trained on is not known here")  # of a model that the ledger does not know
NOTHING_LEARNED = TrainingData("signal processing: nothing is learned")


def all_are(status: str, *corpora: str) -> dict[str, str]:
    """Each corpus with the same status, as `TrainingData.seen` takes them."""
    return dict.fromkeys(corpora, status)


@cache
def entries() -> dict[str, TrainingData]:
    """Pattern of an encoder's name -> its training data, as all encoder plugins state them.

    The plugins are found by the registry when they are first asked for: this room stands below theirs. They import neither
    torch nor transformers.
    """
    found: dict[str, TrainingData] = {}
    for plugin in registry.load_all("encoder").values():
        for short, checkpoint in plugin.CHECKPOINTS.items():
            if checkpoint.data is not None:
                found |= dict.fromkeys((short, _last_part(checkpoint.hub)), checkpoint.data)
        found |= getattr(plugin, "TRAINING_DATA", {})
    return found


def entry(*names: str) -> TrainingData | None:
    """The training data of an encoder; None where the ledger does not know it.

    Args:
        names: the short name, the hub id, the folder. The first that is known counts; of several patterns that fit it, the
            longest.

    >>> entry("iic/emotion2vec_plus_large").status("ravdess")
    'fine-tuning'
    """
    known = entries()
    for name in (_last_part(name) for name in names if name):
        fitting = [name] if name in known else [p for p in known if "*" in p and fnmatchcase(name, p)]
        if fitting:
            return known[max(fitting, key=len)]
    return None


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower().replace("_", "-")


def status(corpus: str, *names: str) -> str:
    """The status of a corpus for an encoder: one of `STATUSES`."""
    return _verdict(corpus, *names).status


def in_words(*names: str) -> list[str]:
    """The training data of an encoder in words: one line per status, then the source."""
    found = entry(*names)
    if found is None:
        return ["not in the ledger: what it was trained on is not known here"]
    lines = []
    for kind in STATUSES:
        corpora = [corpus for corpus, given in found.seen.items() if given == kind]
        if found.otherwise == kind:
            corpora = [*corpora, "all others" if found.seen else "all"]
        lines += [f"{kind}: {', '.join(corpora)}"] if corpora else []
    return [*lines, found.source]


def encoders_that_saw(corpus: str) -> dict[str, list[str]]:
    """Status -> names of the encoders that have seen a corpus, in fine-tuning or in pre-training."""
    found: dict[str, list[str]] = {}
    for name, data in entries().items():
        kind = data.status(corpus)
        if kind in (FINE_TUNING, PRE_TRAINING):
            found.setdefault(kind, []).append(name)
    return found


def is_imported(identity: Mapping[str, Any]) -> bool:
    """True for the identity of a store whose features were made elsewhere (`ser store import`)."""
    return identity.get("model") == IMPORTED


def encoder_stamps(facts: Mapping[str, Any], stores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences that results of a corpus must carry, where an encoder has seen it, or may have.

    Args:
        facts: of the table; one's own corpora and synthetic ones are not looked up.
        stores: store name -> at least `encoder`, and `identity` with `model`.
    """
    corpus = published(facts)
    imported = [name for name, store in stores.items() if is_imported(store.get("identity", {}))]
    found = []
    if imported:
        why = "if what made them was trained on labels of these utterances, scores of the training and validation parts mislead"
        found.append(f"imported features: {', '.join(imported)}; {why}")
    for name in imported:
        declared = stores[name]["identity"].get("declared_encoder")
        if declared:
            found.append(f"imported features of {declared} by declaration: {name}; nothing shows that they are")
    if not corpus:
        return found
    for name, store in stores.items():
        identity = store.get("identity", {})
        own, heard = verdicts(corpus, str(store.get("encoder", name)), identity)
        found += _seen("encoder", name, own)
        found += _seen("speech recogniser", f"{name}, text by {recogniser(identity)}", heard)
    return found


def classifier_stamps(facts: Mapping[str, Any], which: str, *names: str) -> list[str]:
    """Sentences that results of a ready-made classifier on a corpus must carry, where it has seen the corpus, or may have.

    Args:
        facts: of the table, as for `encoder_stamps`.
        which: the classifier, in words.
        names: of its model: short name, hub id, folder.
    """
    corpus = published(facts)
    return _seen("classifier", which, _verdict(corpus, *names)) if corpus else []


def published(facts: Mapping[str, Any]) -> str:
    """The corpus that the ledger is asked about; "" for one's own corpora and synthetic ones."""
    if facts.get("synthetic") or not (facts.get("source_corpus") or facts.get("utterances_of_release")):
        return ""
    return str(facts.get("source_corpus") or facts.get("corpus") or "")


def recogniser(identity: Mapping[str, Any]) -> str:
    """The model whose transcripts a store's features are of, by the store's identity; "" where there is none."""
    return str((identity.get("text_source") or {}).get("model") or "")


def verdicts(corpus: str, encoder: str, identity: Mapping[str, Any]) -> tuple[Verdict, Verdict]:
    """The verdicts on a store's encoder and on the recogniser of its text, which is clean where there is none.

    Args:
        encoder: its name; that which was declared for imported features is taken before it.
        identity: of the store.
    """
    heard = recogniser(identity)
    own = _verdict(corpus, str(identity.get("declared_encoder") or encoder), str(identity.get("model", "")))
    return own, _verdict(corpus, heard) if heard else Verdict(CLEAN, "")


def _verdict(corpus: str, *names: str) -> Verdict:
    known = entry(*names)
    return Verdict(known.status(corpus), known.source) if known else NOT_IN_IT


def _seen(what: str, which: str, verdict: Verdict) -> list[str]:
    """The sentence on one model; none where it is clean."""
    kind, source = verdict
    if kind in (FINE_TUNING, PRE_TRAINING):
        return [f"{what} has seen this corpus: {which} in {kind}; {source}"]
    return [f"{what} may have seen this corpus: {which}; {source}"] if kind == UNKNOWN else []
