"""What is wrong with a file, as one word: the errors of reading are for people, these are to be counted."""

from ser.errors import AudioError

# Fault -> how the errors of `ser.audio.decoding` and `ser.audio.reading` word it.
_WORDS = {
    "missing": " is gone",
    "pointer": " is a Git LFS pointer",
    "web-page": " is a page of HTML",
    "empty": " is empty",
    "truncated": " is cut short",
    "not-finite": " has values that are not finite",
    "too-long": " is too long for one utterance",
    "segment": "the segment ",
    "channel": " has no channel ",
    "needs-ffmpeg": " files need ffmpeg",
}
UNDECODABLE = "undecodable"
FAULTS = (*_WORDS, UNDECODABLE)


def fault(error: AudioError) -> str:
    """One of `FAULTS`.

    >>> fault(AudioError("a.wav is cut short", expected="8000 bytes of audio", found="4000"))
    'truncated'
    """
    return next((name for name, words in _WORDS.items() if words in error.problem), UNDECODABLE)
