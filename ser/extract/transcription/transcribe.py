"""Speech to text over a table, batch by batch, kept as it is made; and the word error rate against the corpus's own text.

After a kill at any time the same call goes on from there; a recording that has changed is transcribed again.
"""

import time
import unicodedata
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path

from ser.errors import StoreError
from ser.extract.encoding import Decoded, Inputs, Outcome, encode_each, gather
from ser.extract.pipeline import intra_op
from ser.extract.plan import chunks, plan
from ser.extract.provenance import surroundings
from ser.extract.store_update import all_failed
from ser.extract.transcription.transcriber import Spoken, Transcriber
from ser.extract.utterances import Item, audio_items, hashes
from ser.features.stores.failures import Failure, write_failures
from ser.features.stores.lock import Lock
from ser.metadata.table import Table
from ser.metadata.texts.text_sources import Transcript, Transcripts, failures_file, transcripts_file
from ser.progress import progress
from ser.workspace import Workspace

Say = Callable[[str], None]
AHEAD = 2  # batches that are decoded while one is transcribed


@dataclass(frozen=True)
class WordErrors:
    """Errors of some utterances together.

    Attributes:
        errors: words substituted, left out or put in, the fewest that make one text of the other (Levenshtein 1966).
        words: of the reference.
        utterances: their number.
    """

    errors: int
    words: int
    utterances: int

    @property
    def rate(self) -> float:
        """Errors over words of the reference; over 1 where much was put in."""
        return self.errors / self.words


def words_of(text: str) -> list[str]:
    """Words as they are compared: lower-cased, without punctuation and symbols; marks of Indic scripts stay.

    >>> words_of("Kids are talking, by the door!")
    ['kids', 'are', 'talking', 'by', 'the', 'door']
    """
    kept = "".join("" if c == "'" else " " if unicodedata.category(c)[0] in "PS" else c for c in text.lower())
    return unicodedata.normalize("NFC", kept).split()


def word_errors(pairs: Iterable[tuple[str, str]]) -> WordErrors | None:
    """Errors of pairs of reference and recognised text; None where no reference has a word.

    >>> word_errors([("dogs are sitting by the door", "Dogs sitting by the the door.")])
    WordErrors(errors=2, words=6, utterances=1)
    """
    from rapidfuzz.distance import Levenshtein

    errors = words = utterances = 0
    for reference, heard in pairs:
        expected = words_of(reference)
        if expected:
            errors += int(Levenshtein.distance(expected, words_of(heard)))
            words += len(expected)
            utterances += 1
    return WordErrors(errors, words, utterances) if words else None


@dataclass(frozen=True)
class TranscriptReport:
    """The outcome of one call.

    Attributes:
        dataset, source: names.
        done, skipped, failed: utterances transcribed now, there already, and those that could not be.
        empty: transcripts without a word, of all.
        path: the file.
        first: the first that failed, and why; "" where none did.
        failures_path: the list of the failed ones; None where there are none.
        seconds: time it took.
        errors: against the corpus's text; None where it has none.
    """

    dataset: str
    source: str
    done: int
    skipped: int
    failed: int
    empty: int
    path: Path
    first: str
    failures_path: Path | None
    seconds: float
    errors: WordErrors | None

    def lines(self) -> list[str]:
        """The summary for people."""
        counts = f"{self.done} done, {self.skipped} skipped, {self.failed} failed"
        found = [f"{self.dataset} {self.source}: {counts} -> {self.path} ({self.seconds:.0f} s)"]
        if self.errors is None:
            found.append("word error rate: not known, the corpus has no text of its own")
        else:
            e = self.errors
            found.append(
                f"word error rate: {100 * e.rate:.1f} % against the corpus's text ({e.errors:,} errors, {e.words:,} words, "
                f"{e.utterances:,} utterances; case and punctuation left aside)"
            )
        return found

    def notes(self) -> list[str]:
        """Further remarks for the user."""
        found = []
        if self.empty:
            found.append(f"{self.dataset} {self.source}: {self.empty} transcripts have no word")
        if self.failures_path:
            listed = f"{self.failed} failed, listed in {self.failures_path}"
            found.append(f"{self.dataset} {self.source}: {listed}; the first is {self.first}")
        return found


def transcribe(
    table: Table,
    transcriber: Transcriber,
    workspace: Workspace,
    *,
    jobs: int = 1,
    quiet: bool = False,
    overwrite: bool = False,
    say: Say = lambda _: None,
) -> TranscriptReport:
    """Bring the transcripts of a dataset by a model up to date.

    Args:
        jobs: threads that compute (on a CPU) and decode.
        overwrite: start again.
        say: called with each line that a user should see.

    Raises:
        StoreError: the transcripts there were made otherwise, or another process is writing them.
        CorpusError: the table has no audio, or the folder of its audio is gone.
        AudioError: no utterance could be transcribed.
    """
    begin = time.monotonic()
    path = transcripts_file(workspace, table.dataset, transcriber.name)
    items = audio_items(table)
    languages = dict(zip(table.ids, table.frame["language"], strict=True))
    asked = {item.id: transcriber.language_of(languages[item.id]) for item in items}
    sources, failures = hashes(items)
    with closing(Lock(path, False, lambda: None, "transcripts", "")):
        kept = _opened(path, transcriber, jobs, overwrite)
        known = {i: t.source for i, t in kept.by_id.items()}
        decided = plan([i.id for i in items if i.id in sources], sources, known)
        if decided.stale:
            say(f"{transcriber.name}: {len(decided.stale)} utterances have changed since: transcribed again")
        todo = {*decided.todo, *decided.stale}
        # The batches are those of the whole table: an utterance has the same neighbours when the command goes on.
        batches = [[item for item in batch if item.id in todo] for batch in chunks(items, transcriber.batch)]
        made = _transcribed([b for b in batches if b], transcriber, asked, sources, kept, jobs, say)
        threads = intra_op(jobs) if transcriber.device == "cpu" else nullcontext()
        with threads, closing(made):
            for failed in progress(made, len(todo), f"{table.dataset} {transcriber.name}", "utt", quiet):
                failures += failed
        kept.tidy([i for i in asked if i not in sources or (i in kept.by_id and kept.by_id[i].source == sources[i])])
    listed = failures_file(workspace, table.dataset, transcriber.name)
    write_failures(listed, failures)
    done = len(todo & kept.by_id.keys())
    if failures and not done and not decided.done:
        raise all_failed(f"{table.dataset} {transcriber.name}", failures, listed)
    return TranscriptReport(
        dataset=table.dataset,
        source=transcriber.name,
        done=done,
        skipped=len(decided.done),
        failed=len(failures),
        empty=sum(not t.text for t in kept.by_id.values()),
        path=path,
        first=f"{failures[0].id}: {failures[0].reason}" if failures else "",
        failures_path=listed if failures else None,
        seconds=time.monotonic() - begin,
        errors=against_corpus(table, kept),
    )


def against_corpus(table: Table, made: Transcripts) -> WordErrors | None:
    """Word errors of transcripts where the table has the corpus's own text."""
    own = table.frame[table.frame["text_source"] == "corpus"]
    pairs = zip(own["utterance_id"], own["text"], strict=True)
    return word_errors((text, made.by_id[i].text) for i, text in pairs if i in made.by_id)


def _opened(path: Path, transcriber: Transcriber, jobs: int, overwrite: bool) -> Transcripts:
    """The existing transcripts, or none yet."""
    if overwrite:
        path.unlink(missing_ok=True)
    made_by = {"identity": transcriber.identity, "provenance": surroundings(transcriber.device, jobs)}
    kept = Transcripts(path, made_by)
    there, here = kept.identity, transcriber.identity
    differs = [k for k in sorted({*there, *here}) if there and there.get(k) != here.get(k)]
    if differs:
        raise StoreError(
            f"the transcripts {path} were made with other settings: "
            + "; ".join(f"{k} is {there.get(k)} there and {here.get(k)} here" for k in differs),
            action="--overwrite makes them again; another --workspace keeps both.",
        )
    return kept


def _transcribed(
    batches: Sequence[Sequence[Item]],
    transcriber: Transcriber,
    asked: dict[str, str],
    sources: dict[str, bytes],
    kept: Transcripts,
    jobs: int,
    say: Say,
) -> Generator[list[Failure], None, None]:
    """Transcribe and keep batch after batch; yields once per utterance, with its failure if it has one."""
    said: set[str] = set()
    decoded: deque[Future[tuple[Inputs, Outcome]]] = deque()
    with ThreadPoolExecutor(max(1, min(jobs, AHEAD))) as pool:
        for batch in [*batches, *[()] * AHEAD]:
            decoded.append(pool.submit(_decoded, batch, transcriber))
            if len(decoded) <= AHEAD:
                continue
            inputs, outcome = decoded.popleft().result()
            spoken = [Spoken(audio, asked[item.id]) for item, audio in inputs]
            results = encode_each(transcriber, spoken, outcome) if spoken else []
            new = []
            for (item, _), result in zip(inputs, results, strict=True):
                if isinstance(result, Exception):
                    outcome.failures.append(Failure.of(item.id, item.path, result))
                else:
                    new.append((item.id, Transcript(result[0], sources[item.id], result[1])))
            kept.add(new)
            for note in [note for note in outcome.notes if note not in said]:
                said.add(note)
                say(note)
            yield outcome.failures
            yield from [[]] * (len(new) + len(outcome.failures) - 1)


def _decoded(batch: Sequence[Item], transcriber: Transcriber) -> tuple[Inputs, Outcome]:
    outcome = Outcome()
    return gather(transcriber, batch, Decoded(), outcome), outcome
