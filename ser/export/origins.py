"""The corpora, encoders and methods that a result rests on: their licences, their papers, and the limits of use that follow."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import ModuleType
from typing import Any

from ser import registry
from ser.errors import ConfigError
from ser.extract.encoder import find
from ser.metadata.corpus import CORPORA
from ser.metadata.ledger import recogniser
from ser.train.model_folder import ModelConfig

# The folders of methods, and the option that names one.
METHODS = {"ser.train.heads": "head", "ser.train.losses": "loss", "ser.train.adapt": "adapt"}


@dataclass(frozen=True)
class Origin:
    """A corpus, an encoder or a method.

    Attributes:
        kind: `corpus`, `encoder`, or the option that names a method: `head`, `loss`, `adapt`.
        name: in ser.
        title: for people.
        licence: of the data or the weights; "" for a method.
        citation: the paper in words; "" where none is stated.
        language: of a corpus, ISO 639-1; "" where it is not known.
        url: of a corpus.
    """

    kind: str
    name: str
    title: str
    licence: str = ""
    citation: str = ""
    language: str = ""
    url: str = ""


@dataclass(frozen=True)
class Limit:
    """A limit that a licence sets.

    Attributes:
        words: a pattern that licences with this limit match.
        says: the limit, in words.
        consent: true if the licence has to be looked at before a model trained on the data is passed on.
    """

    words: str
    says: str
    consent: bool


LIMITS = (
    Limit(r"\b(NC|research|academic|private use)\b|non-?commercial", "not for commercial use", True),
    Limit(r"\bND\b|no.?derivatives", "nothing derived from it may be passed on, and a trained model may count as that", True),
    Limit(r"on request|agreement|release form|registration", "given under an agreement: it decides on models", True),
    Limit(r"\bSA\b|GPL|ODbL", "what is derived from it has to have the same licence", False),
    Limit(r"[Nn]o licence text|without a licence text", "no licence text: no rights are granted in writing", False),
    Limit(r"^that of|FunASR model licence", "a licence of its own: read it", True),
)  # fmt: skip


def limits(licence: str) -> list[Limit]:
    """The limits that a licence sets.

    >>> [limit.says for limit in limits("CC BY-NC-SA 4.0")]
    ['not for commercial use', 'what is derived from it has to have the same licence']
    """
    return [limit for limit in LIMITS if re.search(limit.words, licence)]


def origins_of(record: dict[str, Any]) -> list[Origin]:
    """The origins of a record, or of a saved head's facts: corpora, encoders, then methods, each once.

    Args:
        record: in JSON's own types: `data` and `config`; of studies their members' facts are found at any depth.
    """
    found: dict[tuple[str, str], Origin] = {}
    for part in _dicts(record):
        for name in (part.get("corpus"), part.get("source_corpus")):
            if isinstance(name, str) and name:
                _add(found, corpus_origin(name, part))
        stores = part.get("stores")
        for store in stores.values() if isinstance(stores, dict) else ():
            if isinstance(store, dict) and isinstance(store.get("encoder"), str):
                identity = store["identity"] if isinstance(store.get("identity"), dict) else {}
                _add(found, encoder_origin(store["encoder"], identity))
                if model := recogniser(identity):
                    _add(found, encoder_origin(model, {"model": model}))
    for part in _dicts(record):
        for package, option in METHODS.items():
            for name in str(part.get(option) or "").split(","):
                if (word := name.partition(":")[0]) and registry.has(package, word):
                    _add(found, _method(package, option, word))
    return list(found.values())


def origins_of_model(config: ModelConfig) -> list[Origin]:
    """The origins of a model that was handed on: corpora, encoders, and the head."""
    corpora = [corpus_origin(name, {}) for name in config.trained_on]
    encoders = [encoder_origin(one.encoder, {"model": one.model, "plugin": one.plugin}) for one in config.inputs]
    return [*corpora, *encoders, *origins_of({"head": config.architecture.head})]


def _add(found: dict[tuple[str, str], Origin], origin: Origin) -> None:
    found.setdefault((origin.kind, origin.name), origin)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    """All dicts within a value, the outer ones first."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _dicts(inner)


def corpus_origin(name: str, facts: dict[str, Any]) -> Origin:
    """A corpus by the name of its plugin; what a record says of its licence counts before the plugin."""
    stated = str(facts.get("licence") or "")
    if not registry.has(CORPORA, name):
        return Origin("corpus", name, name, stated)
    plugin = registry.load(CORPORA, name)
    title, citation = plugin.TITLE, plugin.CITATION
    if stated.startswith("none needed"):  # speech that was synthesised in the layout of a corpus
        title, citation = f"synthetic speech in the layout of {title}", ""
    citation = "" if citation.startswith("none") else citation
    return Origin("corpus", name, title, stated or plugin.LICENCE, citation, plugin.LANGUAGE, plugin.URL)


def encoder_origin(name: str, identity: dict[str, Any]) -> Origin:
    """An encoder by its plugin, its short name or its model, the first that is known."""
    model = str(identity.get("model") or "")
    for word in filter(None, (str(identity.get("plugin") or ""), name, model)):
        try:
            plugin = find(word)
        except ConfigError:
            continue
        known = next((c for short, c in plugin.CHECKPOINTS.items() if name == short or model == c.hub), None)
        licence = (known.licence if known else "") or plugin.LICENCE
        return Origin("encoder", name, model or name, licence, _paper(plugin, name, model))
    return Origin("encoder", name, model or name, "not known")


def _paper(plugin: ModuleType, *names: str) -> str:
    """The citation that a plugin states: of the pattern that fits one of the names best, or its only one."""
    several = getattr(plugin, "CITATIONS", {})
    for name in (n.rpartition("/")[2].lower() for n in names):
        fitting = [pattern for pattern in several if fnmatchcase(name, pattern)]
        if fitting:
            return str(several[max(fitting, key=len)])
    return str(getattr(plugin, "CITATION", ""))


def _method(package: str, option: str, name: str) -> Origin:
    plugin = registry.load(package, name)
    return Origin(option, name, registry.summary(plugin), citation=str(getattr(plugin, "CITATION", "")))
