"""BibTeX of all that a result rests on: ser itself, then corpora, encoders and methods, by the facts beside their plugins."""

import re
from collections.abc import Sequence

import ser
from ser.export.origins import Origin

TITLE = "ser: speech emotion recognition on cached features"
AUTHORS = "the developers of ser"
_SPECIAL = str.maketrans({c: f"\\{c}" for c in "&%$#_"})
_WORDS = re.compile(r"(?P<authors>[^:]+): (?P<title>.+?)(?<! vs)[.] (?P<rest>.*)", re.DOTALL)


def bibtex(origins: Sequence[Origin]) -> str:
    """Write the entries: of ser, of each origin with a paper, and a comment for each that states none.

    A paper that several origins share is one entry.
    """
    year = f"  note = {{Version {ser.__version__}}},\n"
    parts = [f"@software{{ser,\n  title = {{{{{TITLE}}}}},\n  author = {{{{{AUTHORS}}}}},\n{year}}}"]
    keys: dict[str, str] = {}
    for origin in origins:
        what = f"{origin.kind} {origin.name}"
        if not origin.citation:
            parts.append(f"% {what}: no paper is stated. {origin.title}")
        elif origin.citation in keys:
            parts.append(f"% {what}: {keys[origin.citation]}")
        else:
            keys[origin.citation] = f"{origin.kind}-{re.sub('[^A-Za-z0-9.-]+', '-', origin.name)}"
            parts.append(f"% {what}\n{entry(keys[origin.citation], origin.citation)}")
    return "\n\n".join(parts) + "\n"


def entry(key: str, citation: str) -> str:
    """One entry of a citation in words: `Authors: Title. Venue and year. doi:...`, `arXiv:...` or an address at the end.

    >>> print(entry("k", "A. Ba, C. Du and others: A & B: on it. Interspeech 2020, 1-5. arXiv:2001.00001"))
    @misc{k,
      author = {Ba, A. and Du, C. and others},
      title = {{A \\& B: on it}},
      howpublished = {Interspeech 2020, 1-5},
      year = {2020},
      eprint = {2001.00001},
      archiveprefix = {arXiv},
    }
    """
    found = _WORDS.fullmatch(citation)
    if found is None:
        return f"@misc{{{key},\n  note = {{{citation.translate(_SPECIAL)}}},\n}}"
    rest = found["rest"]
    fields = {"author": " and ".join(map(_author, _names(found["authors"]))), "title": f"{{{_text(found['title'])}}}"}
    links = {
        "doi": re.search(r"doi:(\S+?)[.]?(?= |$)", rest),
        "eprint": re.search(r"arXiv:(\d{4}\.\d{4,5})", rest),
        "url": re.search(r"(https?://\S+)", rest),
    }
    venue = re.split(r" ?(?:doi:|arXiv:|https?://|And the corpus)", rest)[0].rstrip(" .")
    years = re.findall(r"\b(?:19|20)\d\d\b(?!-)", re.sub(r"(?:doi:|arXiv:|https?://)\S+|\b\d+-\d+\b", "", rest))
    fields |= {"howpublished": _text(venue)} if venue else {}
    fields |= {"year": years[-1]} if years else {}
    fields |= {name: match[1] for name, match in links.items() if match}
    fields |= {"archiveprefix": "arXiv"} if links["eprint"] else {}
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{key},\n{lines}}}"


def _names(authors: str) -> list[str]:
    return [name for part in authors.replace(" and others", ", others").split(",") if (name := part.strip())]


def _author(name: str) -> str:
    """`A. N. Gomez` -> `Gomez, A. N.`; the name of a group is kept whole."""
    if name == "others":
        return name
    initials = re.match(r"((?:[A-Z]\.-?(?:[A-Z]\.)? ?)+)(.+)", name)
    return f"{_text(initials[2])}, {initials[1].strip()}" if initials else f"{{{_text(name)}}}"


def _text(words: str) -> str:
    return words.translate(_SPECIAL)
