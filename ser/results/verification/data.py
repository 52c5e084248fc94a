"""The facts that a record states about its data, made again from tables, ids in stores and the protocol.

These are rows, classes, folds, the audit and stamps. Nothing is trained and no features are read. The facts are also compared
with the configuration, whose hash every run has, and the sizes of folds with those of the runs.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from msgspec import UNSET

from ser.errors import ConfigError, CorpusError, SerError
from ser.metadata.labels import FILES
from ser.metadata.targets import EMOTION
from ser.results.records.data_facts import DataFacts, FoldFacts, data_facts, stated_facts
from ser.results.records.model import FewshotSummary, Opening, Summary
from ser.results.stored.checked_runs import Runs
from ser.results.stored.study_experiments import Experiments
from ser.results.stored.summary import notes_of
from ser.results.stored.verdict import Verdict
from ser.results.studies import StudyRecord
from ser.workspace import Workspace

SIZES = ("train", "validation", "test")
FACTS = ("corpus", "licence")  # of the table's description, which may be written better later
TAKEN = "command, environment, time of the start, and what the data are called and licensed as: taken as they are"


@dataclass(frozen=True)
class Corpus:
    """A dataset of a record that has a table.

    Attributes:
        name: a bare name.
        where: the place of its facts in the record.
        facts: those that are read.
        stated: all of them, in JSON's own types.
        table: the SHA-256 of its table.
    """

    name: str
    where: str
    facts: DataFacts
    stated: dict[str, Any]
    table: str


def corpora(record: Opening) -> Iterator[Corpus]:
    """Give each dataset of a record that has a table.

    Raises:
        ConfigError: a name would lead out of the workspace; or the facts have other types.
    """
    whole = data_facts(record)
    found = [(whole.dataset, "$.data", whole, record.data)]
    found += [(n, f"$.data.datasets.{n}", part, record.data["datasets"][n]) for n, part in whole.datasets.items()]
    for name, where, facts, stated in found:
        if facts.table is None:
            continue
        if name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise ConfigError(f"{where}: {name!r} is not the name of a dataset")
        yield Corpus(name, where, facts, stated, facts.table.sha256)


def own_scheme(scheme: str, space: Workspace) -> str:
    """A label scheme that a record names.

    Raises:
        ConfigError: it is a file outside the workspace, which a record from elsewhere must not have read.
    """
    if Path(scheme).suffix in FILES and not Path(scheme).resolve().is_relative_to(space.root.resolve()):
        raise ConfigError(f"the label scheme {scheme} is a file outside the workspace")
    return scheme


def verify_data_facts(
    summary: Summary | FewshotSummary, runs: Runs, unchanged: list[str], space: Workspace, verdict: Verdict
) -> None:
    """Compare `data`, `stamps` and `notes` of a summary with the same made again from the datasets that are unchanged."""
    parts = list(corpora(summary))
    verdict.beyond.append(TAKEN)
    _inputs(summary, parts, verdict)
    _sizes(data_facts(summary).folds, runs, verdict)
    if runs.whole and summary.notes is not UNSET:
        verdict.compare(summary.notes, notes_of(runs.pairs()), "$.notes")
    proven: set[str] = set()
    for part in parts:
        if part.name in unchanged:
            proven |= _again(part, summary, space, verdict)
    left = [s for s in summary.stamps if s not in proven]
    if left:
        verdict.beyond.append(f"stamps that do not follow from a table and its folds alone: {'; '.join(left)}")


def verify_study_facts(study: StudyRecord, experiments: Experiments, verdict: Verdict) -> None:
    """Compare `data` and `stamps` of a study with those of its experiments.

    An experiment has the same facts about each corpus, but for the stores that it uses; a stamp of all experiments is one of
    the study. Records that cannot be read are named where their numbers are compared.
    """
    from ser.audit.sharing import without_epoch

    members = []
    for record in dict.fromkeys(record for _, record in study.members()):
        with suppress(ConfigError):
            members.append(experiments.summary(record))
    for part in corpora(study):
        own = {key: value for key, value in part.stated.items() if key not in ("stores", "views")}
        found = [
            {key: other.stated.get(key) for key in own} for m in members for other in corpora(m) if other.name == part.name
        ]
        if found and own not in found:
            verdict.compare(own, found[0], part.where)
    each, own_stamps = [without_epoch(m.stamps) for m in members], without_epoch(study.stamps)
    for stamp in each[0] if each else ():
        if all(stamp in stamps for stamps in each) and stamp not in own_stamps:
            verdict.add("$.stamps", "no such stamp", stamp)


def verify_corpora_together(record: Opening, verdict: Verdict) -> None:
    """Compare what is said of several corpora together with the facts of each."""
    from ser.audit.split_data import in_label_space

    parts = data_facts(record).datasets
    if not parts:
        return
    stated, names = record.data["datasets"], list(parts)
    known = {key: {str(part[key]) for part in stated.values() if part.get(key)} for key in ("scheme", "normalize", "protocol")}
    known |= {"dataset": set(names)}
    known |= {"source": {names[0]}, "target": {names[1]}} if len(names) == 2 else {}
    for key, words in known.items():
        said = str(record.data.get(key) or "")
        single = {*said.split("+")}  # joined in any order; a corpus that is only trained on states no protocol
        agree = {said} == words or single == words or (key == "protocol" and single > words)
        if said and words and not agree:
            verdict.add(f"$.data.{key}", said, "+".join(sorted(words)))
    space = record.data.get("label_space")
    if space is not None:
        again = {name: in_label_space(name, part.utterances or 0, part.dropped) for name, part in parts.items()}
        verdict.compare(space["classes"], list(parts[names[0]].classes), "$.data.label_space.classes")
        verdict.compare({corpus["dataset"]: corpus for corpus in space["corpora"]}, again, "$.data.label_space.corpora")


def _inputs(summary: Summary | FewshotSummary, parts: list[Corpus], verdict: Verdict) -> None:
    """Compare the facts with the inputs in the configuration."""
    inputs = stated_facts(summary, summary.experiment).config.inputs
    stated = {one.dataset: content for one, content in zip(inputs, summary.config.get("inputs", []), strict=True)}
    stores = {one.dataset: one.stores for one in inputs}
    if stated:
        verdict.compare([part.name for part in parts], list(stated), "$.data, datasets")
    for part in parts:
        known = {k: v for k, v in stated.get(part.name, {}).items() if k in part.stated and k not in ("stores", "views")}
        verdict.compare({k: part.stated[k] for k in known}, known, part.where)
        own = stores.get(part.name, UNSET)
        if own is not UNSET:
            used = {n: s.features_sha256 for n, s in part.facts.stores.items()}
            verdict.compare(used, own, f"{part.where}.stores")
        if part.facts.learns == EMOTION:  # then every utterance has one class
            verdict.compare(part.facts.utterances, sum(part.facts.classes.values()), f"{part.where}.utterances")


def _sizes(folds: list[FoldFacts], runs: Runs, verdict: Verdict) -> None:
    """Compare folds with the runs, whose own sizes are those of their predictions."""
    known = {r.fold: {part: getattr(r.n, part) for part in SIZES} for r in runs.records}
    for k, fold in enumerate(folds):
        if fold.name in known:
            stored = {part: getattr(fold, part) for part in SIZES if getattr(fold, part) is not UNSET}
            verdict.compare(stored, known[fold.name], f"$.data.folds[{k}]")
        elif runs.whole:
            verdict.add(f"$.data.folds[{k}].name", fold.name, f"one of {', '.join(known)}")


def _again(part: Corpus, summary: Summary | FewshotSummary, space: Workspace, verdict: Verdict) -> set[str]:
    """Make the facts of one corpus again; returns the stamps that follow from them, as the record has them."""
    from ser.audit.split_data import describe_data, split_data, tested_only
    from ser.features.stored_layers import as_used
    from ser.features.tensors import load_labels, load_tensors
    from ser.metadata.folds.fold import FoldOptions

    name, facts, options = part.name, part.facts, part.facts.fold_options
    if options.file:
        verdict.missing.append(f"the folds of {name} are from a file, {options.file}, which is not in the workspace")
        return set()
    stores = list(facts.stores)
    expected: list[str] = []
    try:
        scheme = own_scheme(facts.scheme, space)
        given: dict[str, Any] = {"scheme": scheme, **facts.asked}
        if stores:
            data = load_tensors(name, space, stores=stores, values=False, **given)
            data = as_used(data, facts.layers)
        else:  # of a system whose predictions were imported
            data = load_labels(name, space, **given)
        if facts.protocol is None:
            again = describe_data(data, scheme)
        else:
            if facts.audit is None or facts.audit.copies is None:  # its audio had not been listened to by then
                data = replace(data, table=replace(data.table, copies=None))
            rule = FoldOptions(options.folds, options.seed, None, options.validation, options.stratified)
            setup = split_data(data, facts.protocol, rule, facts.normalize, scheme, facts.untested)
            again, alone = setup.facts, "table" in summary.data
            expected = setup.stamps if alone else tested_only(setup.stamps)
    except CorpusError as error:
        verdict.add(part.where, error.line(), "facts that can be made again")
        return set()
    except SerError as error:
        verdict.missing.append(f"the facts about {name} cannot be made again: {error.line()}")
        return set()
    keys = [k for k in again if k not in FACTS]
    unhashed = {n: {k: v for k, v in s.items() if k != "sha256"} for n, s in part.stated.get("stores", {}).items()}
    stored = {k: v for k, v in {**part.stated, "stores": unhashed}.items() if k in keys}
    if "dropped" in stored:
        again["dropped"] = _in_words_of(stored["dropped"], again["dropped"])
    verdict.compare(stored, {k: again[k] for k in keys}, part.where)
    config = stated_facts(summary, summary.experiment).config
    picked = config.selection != "last" and not isinstance(summary, FewshotSummary)
    return _stamps(name, expected, summary.stamps, picked, verdict)


def _in_words_of(stored: Mapping[str, int], again: Mapping[str, int]) -> dict[str, int]:
    """The utterances that are left out, in the words of records from before classes of the scheme had a reason of their own."""
    from ser.features.tensors import NOT_IN_SCHEME, NOT_IN_USE

    if any(words.startswith(NOT_IN_USE) for words in stored):
        return dict(again)
    before = next((words.partition(": ")[0] for words in stored if words.startswith(NOT_IN_SCHEME)), NOT_IN_USE)
    found: Counter[str] = Counter()
    for words, number in again.items():
        found[words.replace(NOT_IN_USE, before, 1)] += number
    return dict(found)


def _stamps(name: str, expected: list[str], stamps: list[str], picked: bool, verdict: Verdict) -> set[str]:
    """Find each stamp in the record, alone or, where there are several corpora, after the name of its corpus.

    Args:
        picked: true if validation picked the epoch. Where it did not, stamps do not speak of it; older ones do.
    """
    from ser.audit.sharing import without_epoch

    found = set()
    for stamp in expected:
        verdict.numbers += 1
        words = [stamp] if picked else without_epoch([stamp])
        own = [s for one in {*words, stamp} for s in (one, f"{name}: {one}") if s in stamps]
        if not own:
            verdict.add("$.stamps", "no such stamp", words[0])
        found.update(own)
    return found
