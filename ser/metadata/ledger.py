"""The ledger: which corpora an encoder has seen before it meets them here, and who says so.

Statuses, the gravest first: `fine-tuning` (with emotion labels), `pre-training` (the audio or the text without labels),
`unknown` (the publisher does not say, or the data are drawn from where the corpus comes from), `clean` (the publisher's
list has it not). What a publisher does not rule out is not clean.

Encoders are matched by their short name or the last part of their hub id, in lower case, with `-` for `_`; corpora go by the
names of their plugins, and of EmoBox's files. A fine-tuned model that is not listed here is unknown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

IMPORTED = "imported"  # the model of features that were made elsewhere, and what their table says of itself
STATUSES = ("fine-tuning", "pre-training", "unknown", "clean")
FINE_TUNING, PRE_TRAINING, UNKNOWN, CLEAN = STATUSES
# The corpora of the EmoBox benchmark, as far as they have a plugin here or are often met.
EMOBOX = (
    "aesdd", "ased", "asvpesd", "cafe", "casia", "cremad", "emns", "emodb", "emovdb", "emovo", "emozionalmente", "enterface",
    "esd", "iemocap", "jlcorpus", "m3ed", "mead", "meld", "mer2023", "mesd", "msppodcast", "oreau", "pavoque", "polish",
    "ravdess", "resd", "savee", "shemo", "subesco", "tess", "turevdb", "urdu",
)  # fmt: skip
# Cut from what was broadcast: data drawn from the web may hold the same recordings, or their texts.
BROADCAST = ("meld", "urdu", "shemo")


@dataclass(frozen=True)
class Entry:
    """What is known of some encoders.

    Attributes:
        names: patterns (`*`) of encoders' names.
        source: who says so: a paper or a model card, and what it leaves open.
        seen: corpus -> status.
        otherwise: status of all corpora that `seen` does not name.
    """

    names: tuple[str, ...]
    source: str
    seen: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = CLEAN

    def status(self, corpus: str) -> str:
        return self.seen.get(corpus, self.otherwise)


def _all(corpora: Iterable[str], status: str) -> dict[str, str]:
    return dict.fromkeys(corpora, status)


# emotion2vec's English corpora, 262 h in all: IEMOCAP, MELD, MEAD, CMU-MOSEI, MSP-Podcast; it starts from data2vec.
_EMOTION2VEC = _all(("iemocap", "meld", "mead", "mosei", "msppodcast"), PRE_TRAINING)
_ROUNDS = (
    "; then on speech from elsewhere with labels that the first round gave, which is not listed (model card of "
    "emotion2vec+; github.com/ddlBoJack/emotion2vec)"
)
LEDGER = (
    Entry(
        ("emotion2vec", "emotion2vec-base"),
        "pre-trained on 262 h of five English corpora, from data2vec (Ma et al., Findings of ACL 2024)",
        _EMOTION2VEC,
    ),
    Entry(
        ("emotion2vec-plus-seed",),
        "fine-tuned on 201 h of the EmoBox benchmark's 294 h, which of them is not said (model card of emotion2vec+)",
        _EMOTION2VEC | _all(EMOBOX, FINE_TUNING),
    ),
    Entry(
        ("emotion2vec-plus-base", "emotion2vec-plus-large"),
        "fine-tuned in rounds, the first on the EmoBox benchmark" + _ROUNDS,
        _EMOTION2VEC | _all(EMOBOX, FINE_TUNING),
        UNKNOWN,
    ),
    Entry(
        ("emotion2vec-base-finetuned",),
        "fine-tuned in rounds, the first on academic emotion corpora that are not named" + _ROUNDS,
        _EMOTION2VEC | _all(("iemocap", "cremad", "meld", "ravdess"), FINE_TUNING),
        UNKNOWN,
    ),
    # Fine-tuned models come before the patterns of those that they start from.
    Entry(
        ("*-superb-er", "emotion-recognition-wav2vec2-iemocap"),
        "fine-tuned on IEMOCAP (SUPERB, Yang et al., Interspeech 2021; SpeechBrain)",
        {"iemocap": FINE_TUNING},
    ),
    Entry(
        ("emotion-diarization-wavlm-large",),
        "fine-tuned on five corpora (Wang et al., ASRU 2023; SpeechBrain), from WavLM",
        _all(("emovdb", "esd", "iemocap", "jlcorpus", "ravdess"), FINE_TUNING) | {"meld": UNKNOWN},
    ),
    Entry(
        ("wav2vec2-lg-xlsr-en-speech-emotion-recognition",),
        "fine-tuned on RAVDESS (model card), from XLSR-53",
        {"ravdess": FINE_TUNING},
    ),
    Entry(
        ("wav2vec2-large-robust-*-ft-emotion-msp-dim",),
        "fine-tuned on MSP-Podcast (Wagner et al., TPAMI 2023)",
        {"msppodcast": FINE_TUNING},
    ),
    Entry(
        ("wav2vec2-base", "wav2vec2-large", "hubert-base", "hubert-base-ls960", "wavlm-base", "data2vec-base",
         "data2vec-large", "data2vec-audio-base", "data2vec-audio-large"),
        "pre-trained on LibriSpeech, read books (papers of the models)",
    ),
    Entry(
        ("wav2vec2-large-lv60", "hubert-large", "hubert-large-ll60k"),
        "pre-trained on Libri-Light, read books (papers of the models)",
    ),
    Entry(
        ("wav2vec2-large-robust",),
        "pre-trained on Libri-Light, Common Voice, Switchboard and Fisher (Hsu et al., Interspeech 2021)",
    ),
    Entry(
        ("wavlm-base-plus", "wavlm-large"),
        "pre-trained on Libri-Light, VoxPopuli and GigaSpeech, which draws on YouTube (Chen et al., JSTSP 2022)",
        {"meld": UNKNOWN},
    ),
    Entry(
        ("xlsr-53", "wav2vec2-large-xlsr-53"),
        "pre-trained on Multilingual LibriSpeech, Common Voice and BABEL (Conneau et al., Interspeech 2021)",
    ),
    Entry(
        ("xls-r-300m", "xls-r-1b", "wav2vec2-xls-r-300m", "wav2vec2-xls-r-1b", "wav2vec2-xls-r-2b"),
        "pre-trained on VoxPopuli, Multilingual LibriSpeech, Common Voice, BABEL and VoxLingua107, which draws on YouTube "
        "(Babu et al., Interspeech 2022)",
        _all(BROADCAST, UNKNOWN),
    ),
    Entry(
        ("whisper-*",),
        "trained on transcribed audio of the web that is not listed (Radford et al., ICML 2023)",
        otherwise=UNKNOWN,
    ),
    Entry(("logmel", "mfcc", "egemaps", "compare"), "signal processing: nothing is learned"),
    Entry(("wordpiece", "wordpiece-*"), "a vocabulary made of the corpus's own training part, or a published one"),
    Entry(
        ("bert", "bert-large", "bert-multilingual", "bert-base-uncased", "bert-large-uncased",
         "bert-base-multilingual-cased", "distilbert", "distilbert-base-uncased"),
        "pre-trained on books and Wikipedia (Devlin et al., NAACL 2019)",
    ),
    Entry(
        ("roberta", "roberta-base", "roberta-large", "xlm-roberta", "xlm-roberta-base", "xlm-roberta-large", "deberta",
         "deberta-large", "deberta-v3-base", "deberta-v3-large"),
        "pre-trained on text of the web, where the scripts of MELD's series are, and of plays that IEMOCAP reads (papers of "
        "the models)",
        _all(("meld", "iemocap"), UNKNOWN),
    ),
)  # fmt: skip


def entry(*names: str) -> Entry | None:
    """The first entry that one of an encoder's names fits; None where the ledger knows none of them.

    Args:
        names: the short name, the hub id, the folder.

    >>> entry("iic/emotion2vec_plus_large").status("ravdess")
    'fine-tuning'
    """
    plain = [name.rstrip("/").rpartition("/")[2].lower().replace("_", "-") for name in names if name]
    return next((e for e in LEDGER for name in plain for pattern in e.names if fnmatchcase(name, pattern)), None)


def status(corpus: str, *names: str) -> str:
    """How an encoder stands to a corpus: one of `STATUSES`."""
    found = entry(*names)
    return found.status(corpus) if found else UNKNOWN


def in_words(*names: str) -> list[str]:
    """What an encoder has seen, for people: a line a status that is not `clean`, then the source."""
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
    for known in LEDGER:
        kind = known.status(corpus)
        if kind in (FINE_TUNING, PRE_TRAINING):
            found.setdefault(kind, []).extend(known.names)
    return found


def is_imported(identity: Mapping[str, Any]) -> bool:
    """Whether a store's features were made elsewhere (`ser store import`)."""
    return identity.get("model") == IMPORTED


def stamps(facts: Mapping[str, Any], stores: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sentences that results of a corpus must carry, where an encoder has seen it, or may have.

    Args:
        facts: of the table; one's own corpora and synthetic ones are not in question.
        stores: store name -> at least `encoder`, and `identity` with `model`.
    """
    corpus = facts.get("source_corpus") or facts.get("corpus")
    imported = [name for name, store in stores.items() if is_imported(store.get("identity", {}))]
    found = []
    if imported:
        why = "if what made them was trained on labels of these utterances, scores of the training and validation parts mislead"
        found.append(f"imported features: {', '.join(imported)}; {why}")
    if not corpus or facts.get("synthetic") or not (facts.get("source_corpus") or facts.get("utterances_of_release")):
        return found
    for name, store in stores.items():
        identity = store.get("identity", {})
        found += _seen("encoder", name, corpus, str(store.get("encoder", name)), str(identity.get("model", "")))
        model = recogniser(identity)
        found += _seen("speech recogniser", f"{name}, text by {model}", corpus, model) if model else []
    return found


def recogniser(identity: Mapping[str, Any]) -> str:
    """The model whose transcripts a store's features are of, by the store's identity; "" where there is none."""
    return str((identity.get("text_source") or {}).get("model") or "")


def _seen(what: str, which: str, corpus: str, *names: str) -> list[str]:
    """The sentence on one model; none where it is clean."""
    known = entry(*names)
    kind = known.status(corpus) if known else UNKNOWN
    if kind in (FINE_TUNING, PRE_TRAINING):
        return [f"{what} has seen this corpus: {which} in {kind}; {known.source if known else ''}"]
    why = known.source if known else "what it was trained on is not known here"
    return [f"{what} may have seen this corpus: {which}; {why}"] if kind == UNKNOWN else []
