"""The model card of a folder to hand on: what it is, how it was measured, its stamps and limits, licences and citations.

All is written from the record and the heads; where there is no record, the card says so.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ser.errors import ConfigError
from ser.export.citations import bibtex
from ser.export.origins import Origin, limits
from ser.jsonfile import plain
from ser.metadata.targets import DIMENSIONS
from ser.results.blocks import Table
from ser.results.cells import head_of, interval, number, over_runs
from ser.results.records.data_facts import DataFacts, data_facts, dropped_in_words
from ser.results.records.model import Summary
from ser.results.records.numbers import chance
from ser.results.records.stamps import EQUAL_RUNS
from ser.results.report.background import audit_lines, flat, no_stamps
from ser.results.report.formats.md import table_lines
from ser.results.result import Result
from ser.train.classical.classifier import estimator_kind
from ser.train.model_folder import ModelConfig

USES = {
    "softmax": "one probability for each class; they add up to 1",
    "sigmoid": "one probability for each label; several may be above 0.5",
    "value": "one value for each dimension",
    "softmax and value": "one probability for each class, which add up to 1, and one value for each dimension",
}


def model_card(config: ModelConfig, origins: Sequence[Origin], result: Result | None, notes: Sequence[str] = ()) -> str:
    """Write the card in Markdown, with the front matter that the Hugging Face Hub reads.

    Args:
        origins: as of `ser.export.origins.origins_of`.
        result: the experiment's record; None where a head lies alone.
        notes: sentences on the making of the folder, such as of its calibration.
    """
    record = result.record if result is not None and isinstance(result.record, Summary) else None
    sections = {
        "": _opening(config),
        "Use": _use(config),
        "How good it is": _numbers(config, record),
        "What a reader must know": [*_bullets(_stamps(config, record) or [no_stamps(record)]), *_bullets(notes)],
        "Training": _training(config, record),
        "Intended use and limits": _limits(config, origins, record),
        "Licences": _licences(origins),
        "Files": _files(config),
        "Citation": ["```bibtex", bibtex(origins).rstrip("\n"), "```"],
    }
    text = [_front_matter(origins), f"# {config.experiment}", ""]
    for title, lines in sections.items():
        text += [f"## {title}", ""] if title else []
        text += [*lines, ""]
    return "\n".join(text)


def _front_matter(origins: Sequence[Origin]) -> str:
    import yaml

    languages = sorted({o.language for o in origins if o.language})
    facts: dict[str, Any] = {
        "library_name": "ser",
        "license": "other",
        "pipeline_tag": "audio-classification",
        "tags": ["speech-emotion-recognition", "audio"],
        **({"language": languages} if languages else {}),
    }
    return f"---\n{yaml.safe_dump(facts, sort_keys=False)}---\n"


def _bullets(lines: Sequence[str]) -> list[str]:
    return [f"- {line}" for line in lines]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    return table_lines(Table("", head, list(rows)))


def _stamps(config: ModelConfig, record: Summary | None) -> list[str]:
    """The heads' stamps, and the one that only the predictions of all runs can tell."""
    equal = [] if record is None else [s for s in record.stamps if s == EQUAL_RUNS]
    return list(dict.fromkeys([*config.stamps, *equal]))


def _opening(config: ModelConfig) -> list[str]:
    heads = len(config.heads)
    what = "a head" if heads == 1 else f"{heads} heads, whose answers are averaged,"
    rows = {"all": "on all rows", "source": "on the training part"}.get(
        config.trained_rows, "each on the training part of its fold"
    )
    reads = ", ".join(f"`{i.name}` ({i.model or i.encoder})" for i in config.inputs)
    return [
        f"A speech emotion recognition model of `ser` {config.ser}: {what} of the kind `{config.architecture.head}`, trained "
        f"{rows} of {' and '.join(config.trained_on)}, reading {reads}.",
        "",
        f"Outputs ({config.outputs.target}): {', '.join(config.outputs.names)}; {USES[config.outputs.activation]}."
        + "".join(f" {n}: {s['low']:g} to {s['high']:g}." for n, s in (config.outputs.scales or {}).items()),
    ]


def _use(config: ModelConfig) -> list[str]:
    text = any(i.modality == "text" for i in config.inputs)
    command = "ser predict --model FOLDER --list turns.csv" if text else "ser predict new/*.wav --model FOLDER"
    call = 'predict(["new.wav"], ["the words"])' if text else 'predict(["new.wav"])'
    lines = ["```", command, "```", "", "```python", "import ser", "", f'table = ser.Predictor("FOLDER").{call}', "```"]
    if config.normalisation.by == "train":
        lines += [
            "",
            "The column `novelty` says how far a recording is from those in training: 99 % of them are within 1, and above "
            "it an answer may mean nothing.",
        ]
    return lines


def _numbers(config: ModelConfig, record: Summary | None) -> list[str]:
    if record is None:
        return ["There is no record beside this model: nothing is claimed."]
    facts, main = data_facts(record), record.pooled.names[0]
    runs, folds = len({r.run for r in record.runs}), len({r.fold for r in record.runs})
    whose = (
        "These numbers are not of this model, which was trained on all rows, the test utterances among them, and cannot be "
        "tested on them. They are of heads that were trained on a part of the rows, without the test part of their fold."
        if config.trained_rows == "all"
        else "These numbers are of the single heads on the test utterances of another corpus, of which they have seen none. "
        "The mean of all heads was not tested."
        if config.trained_rows == "source"
        else "These numbers are of the single heads, each on the utterances of its fold's test part, which it has not seen. "
        "The mean of all heads was not tested: on the same corpus it cannot be."
    )
    scheme = f", scheme `{facts.scheme}`" if facts.scheme and config.outputs.target != DIMENSIONS else ""
    lines = [
        f"Protocol `{facts.protocol or '-'}`, {folds} {'fold' if folds == 1 else 'folds'}, {runs} "
        f"{'run' if runs == 1 else 'runs'}{scheme}. {whose}",
        "",
        *_table(
            ["metric, over the test utterances of all folds", "mean over runs", "95 % over speakers", "95 % over runs"],
            [
                [head_of(name), number(metric.mean), interval(metric.ci_95_speakers or None), over_runs(metric)]
                for name, metric in record.pooled.items()
            ],
        ),
    ]
    if record.per_class:
        rows = [[name, number(s.recall), number(s.precision), f"{s.support:g}"] for name, s in record.per_class.items()]
        lines += ["", *_table(["class", "recall", "precision", "test utterances"], rows)]
    guess = f"UA of a guess is {chance(record.per_class):.3f}. " if main == "UA" and record.per_class else ""
    return [*lines, "", f"{guess}Other corpora, languages, microphones and speakers will give lower numbers."]


def _training(config: ModelConfig, record: Summary | None) -> list[str]:
    lines: list[str] = []
    if record is not None:
        stated = record.data.get("datasets") or {record.data.get("dataset", ""): record.data}
        for name, facts in _datasets(data_facts(record)).items():
            classes = ", ".join(f"{label} {count}" for label, count in facts.classes.items())
            lines.append(f"- {name}: {facts.utterances or 0} utterances ({classes})" + _left_out(facts))
            lines += [f"- {name}: {line}" for line in audit_lines(facts.audit)] if facts.audit else []
            table = (stated.get(name) or {}).get("table") or {}
            lines += [f"- {name}: table SHA-256 {str(table['sha256'])[:16]}"] if "sha256" in table else []
        lines += ["", f"Command: `{_without_paths(record.command)}`", ""]
    options = {"head": config.architecture.head, **{f"head.{k}": v for k, v in config.architecture.options.items()}}
    shown = {**options, **(plain(record.config) if record is not None else {})}
    skipped = ("inputs", "rows", "folds", "outside", "head_options")
    return [*lines, *_table(["option", "value"], flat({k: v for k, v in shown.items() if k not in skipped}))]


def _datasets(facts: DataFacts) -> dict[str, DataFacts]:
    return facts.datasets or {facts.dataset: facts}


def _left_out(facts: DataFacts) -> str:
    left = dropped_in_words(facts.dropped)
    return f"; left out: {left}" if left else ""


def _without_paths(command: str) -> str:
    """A command without the folders of the machine that it was given on."""
    import shlex

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"the record's command cannot be read: {command}", found=error) from None
    kept: list[str] = []
    for word in words:
        option = kept[-1] if kept and kept[-1].startswith("-") and "=" not in kept[-1] else ""
        if option and not word.startswith("-") and ("/" in word or option in _FOLDERS):
            kept.pop()  # the option goes with its value
        elif "/" not in word:
            kept.append(word)
    return shlex.join(word for word in kept if word.partition("=")[0] not in _FOLDERS)


_FOLDERS = ("--workspace", "--config", "--output", "--fold-file", "--part")


def _limits(config: ModelConfig, origins: Sequence[Origin], record: Summary | None) -> list[str]:
    languages = sorted({o.language for o in origins if o.language})
    gives = "estimates the ratings that" if config.outputs.target == DIMENSIONS else "names the emotion that"
    spoken = f" It was trained on speech in: {', '.join(languages)} (ISO 639-1)." if languages else ""
    lines = [
        "For research on speech emotion recognition, and as a part of systems whose answers people look at.",
        "Not for decisions about people: not for hiring, schooling, policing, insurance, border control or health. Some laws "
        "forbid systems that infer emotions at work and in education.",
        f"It {gives} listeners or actors gave to such speech, not what somebody feels.{spoken}",
    ]
    gap = getattr(record.groups, "gender_gap", None) if record is not None else None
    if gap is not None and gap.names:
        main = gap.names[0]
        lines.append(f"Between the genders of the corpus the {head_of(main)} differs by {number(gap.of(main))}.")
    if config.normalisation.by in ("speaker", "corpus"):
        lines.append(f"It was normalised per {config.normalisation.by}: it needs several recordings of one at a time.")
    return _bullets(lines)


def _licences(origins: Sequence[Origin]) -> list[str]:
    rows = [
        [f"{one.kind} {one.title}", one.licence or "not known", "; ".join(limit.says for limit in limits(one.licence)) or "-"]
        for one in origins
        if one.kind in ("corpus", "encoder")
    ]
    said = "This card grants no licence; whoever passes the model on must state one. The licences of what it rests on:"
    return [said, "", *_table(["what", "licence", "limits"], rows)]


def _files(config: ModelConfig) -> Iterator[str]:
    yield "`config.json` (schema `ser.model/1`) says all that a program other than ser needs; `*.safetensors` are the heads:"
    yield ""
    if config.weights:
        yield "- `weights.PART` is one vector of float32; `weights` of `config.json` has the place of each weight in it."
    else:
        kind = estimator_kind(config.outputs.target)
        yield f"- `classifier.skops` has the bytes of a skops file with the {kind} of scikit-learn."
    if config.normalisation.by == "train":
        limit = config.normalisation.limit
        cut = f", and cut at ±{limit:g}" if limit else ""
        yield f"- features are standardised first: (x - `mean:NAME`) / `std:NAME`{cut}."
    if any(head.temperature is not None for head in config.heads):
        yield "- probabilities p of a head become softmax(log(p) / `temperature`), then the mean over heads is taken."
    yield "- the header of each head, under the key `ser`, is JSON with the same facts, the encoders' identities among them."
