"""Whether the encoders whose features are cached have seen the corpus in their own training."""

from collections.abc import Callable, Mapping
from typing import Any

from ser.audit.finding import INFO, WARNING, Finding, some
from ser.metadata.ledger import is_imported

# Says of an encoder's identity (see `ser.extract.encoder`) and a corpus: "" for not seen, None for not known, else in which
# training and by whose word.
Seen = Callable[[Mapping[str, Any], str | None], "str | None"]


def not_known(identity: Mapping[str, Any], corpus: str | None) -> str | None:
    """What a store itself can say: signal processing has seen nothing; of trained weights it keeps the hash, no history.

    Of imported features nobody has said how they were made.
    """
    return None if "weights_sha256" in identity or is_imported(identity) else ""


def encoders(stores: Mapping[str, Mapping[str, Any]], corpus: str | None, seen: Seen = not_known) -> list[Finding]:
    """Findings on the encoders of a dataset's stores.

    Args:
        stores: store -> identity of its encoder.
        corpus: the dataset's corpus plugin.
        seen: who knows.
    """
    said = {name: seen(identity, corpus) for name, identity in stores.items()}
    met = {name: words for name, words in said.items() if words}
    unknown = [name for name, words in said.items() if words is None]
    found = []
    if met:
        found.append(
            Finding(
                "encoder-seen",
                WARNING,
                "encoders that have seen this corpus",
                len(met),
                len(said),
                examples=some(f"{name}: {words}" for name, words in met.items()),
                action="Their scores here are not of new data: compare with an encoder that has not seen it.",
            )
        )
    if unknown:
        found.append(
            Finding(
                "encoder-unknown",
                INFO,
                "encoders whose training data are not known here",
                len(unknown),
                len(said),
                examples=some(unknown),
                action="Read on the model's page whether it was trained on this corpus.",
            )
        )
    return found
