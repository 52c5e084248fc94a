"""Errors that say what was expected, what was found and what to do about it.

Every error that a user can cause or meet is a `SerError`. The command line prints it as one line and ends with its
exit code: 2 where what was asked does not fit (`ConfigError`), 1 where it fits and cannot be done; anything else that
escapes is a defect of the program.
"""

import re
from typing import ClassVar


class SerError(Exception):
    """An error with a message for people.

    Args:
        problem: the fault, with the name of the thing that has it.
        expected: the right value or form.
        found: the value that was there instead.
        action: the remedy.
        option: the option that means nothing here, by its name in Python, where leaving it out is the remedy; one of the
            head's as `head_options.NAME`. The command line leaves it out where it was not typed.

    Attributes:
        exit_code: that of the command line.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self, problem: str, *, expected: object = None, found: object = None, action: str | None = None, option: str = ""
    ) -> None:
        self.problem = problem
        self.expected = expected
        self.found = found
        self.action = action
        self.option = option
        super().__init__(self.line())

    def line(self) -> str:
        """The whole message in one line."""
        text = self.problem
        if self.expected is not None:
            text += f"; expected {self.expected}"
        if self.found is not None:
            text += f"; found {self.found}"
        if self.action is not None:
            text += f". {self.action}"
        return " ".join(text.split())

    def name_option(self, old: str, new: str) -> None:
        """Name an option as this command calls it, but where `old NAME` is one that the command has too."""
        pattern = rf"{old}(?! NAME)\b"
        self.problem = re.sub(pattern, new, self.problem)
        self.expected = re.sub(pattern, new, self.expected) if isinstance(self.expected, str) else self.expected
        self.action = None if self.action is None else re.sub(pattern, new, self.action)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword-only arguments do not survive pickling (worker processes) by themselves.
        return (_rebuild, (type(self), self.problem), self.__dict__)


def _rebuild(kind: type[SerError], problem: str) -> SerError:
    return kind(problem)


class PartDone(Exception):
    """The end of a command that did one part of its work (`--shard`), which is recorded; the whole has no result yet."""


class ConfigError(SerError):
    """What was asked does not fit: an option, a value, a name or a configuration; wrong usage."""

    exit_code = 2


class UnusableError(ConfigError):
    """What was named is there and cannot be used: a file that is damaged, of another kind or version or may not be read, or a
    server that does not answer."""

    exit_code = 1


class NoResult(ConfigError):
    """No result has the name that was given."""


class CorpusError(SerError):
    """A corpus folder, a table, a label scheme or a protocol that does not fit."""


class NoCorpus(CorpusError):
    """There is no such table, corpus folder or file."""

    exit_code = 2


class AudioError(SerError):
    """One utterance's audio or text cannot be used. Extraction lists it in `failures.csv` and goes on.

    Args:
        fault: the fault in one word, to be counted; for audio one of `ser.audio.files.FAULTS`.
    """

    def __init__(
        self,
        problem: str,
        *,
        expected: object = None,
        found: object = None,
        action: str | None = None,
        fault: str = "undecodable",
    ) -> None:
        super().__init__(problem, expected=expected, found=found, action=action)
        self.fault = fault


class EncoderError(SerError):
    """An encoder cannot be loaded or run: missing weights, missing package, wrong library version."""


class StoreError(SerError):
    """A feature store is missing, damaged, or of another encoder."""


class TrainingError(SerError):
    """Training cannot be done: no data of a class, values that are not finite, and the like."""
