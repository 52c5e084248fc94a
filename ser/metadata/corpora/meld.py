"""MELD: dialogues of the television series Friends, with text, speaker and emotion of each utterance.

Works from the three CSV files alone (text); audio is there where the release's video files are.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from ser.errors import CorpusError
from ser.metadata.corpora._example import write_text, write_tone
from ser.metadata.labels import by_word
from ser.metadata.parsing import LOG, canonical, files_below, left_out, rows_of_csv, stem
from ser.metadata.schema import Row
from ser.metadata.words_in_cells import seconds_of

TITLE = "MELD, the Multimodal EmotionLines Dataset"
CITATION = (
    "S. Poria, D. Hazarika, N. Majumder, G. Naik, E. Cambria, R. Mihalcea: MELD: A Multimodal Multi-Party Dataset for Emotion "
    "Recognition in Conversations. ACL 2019, 527-536. doi:10.18653/v1/P19-1050"
)
LICENCE = "GPL-3.0 (annotations and code); the video is of a television series"
URL = "https://affective-meld.github.io"
RELEASE = "MELD.Raw"
LANGUAGE = "en"
TREE = """
train_sent_emo.csv  dev_sent_emo.csv  test_sent_emo.csv     here or in train/, dev/, test/; enough for text
train_splits/dia0_utt0.mp4                                  video, if it is there; wav of the same name comes first
dev_splits_complete/dia0_utt0.mp4
output_repeated_splits_test/dia0_utt0.mp4
"""
LABELS = by_word("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise")
UTTERANCES = 13708
SENTENCES = None
NOTES = (
    "The official split shares 69 speakers between training and test: the six main characters speak in all parts.",
    "Known faults of the release (its issue tracker): train dia125_utt3.mp4 is damaged, dev dia110_utt7.mp4 is not "
    "there, test dia38_utt4.mp4 and dia220_utt0.mp4 are minutes long; some clips hold a part of another utterance.",
    "132 test clips are there twice, the second time with final_videos_test before the name: that one is used. Three public "
    "readers found the utterance there, and another one under the plain name; the authors have said that the second ones may "
    "be ignored, and EmoBox takes the plain ones.",
    "Durations without audio are those of the subtitles.",
)
SPLITS = {"train": "train", "dev": "validation", "test": "test"}
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
_CLIP = re.compile(r"(?:(train|dev|test)_)?(final_videos_test)?(dia\d+_utt\d+)")
_FOLDERS = {split: split for split in SPLITS} | {"valid": "dev"}


def parse(root: Path) -> Iterator[Row]:
    """Rows of the CSV files that are there, with the path of their clip where there is one.

    Raises:
        CorpusError: no CSV file, one without its columns, or an emotion that MELD does not have.
    """
    tables = {stem(p).removesuffix("_sent_emo"): root / p for p in files_below(root, "_sent_emo.csv")}
    tables = {split: tables[split] for split in SPLITS if split in tables}
    if not tables:
        raise CorpusError(
            f"{root} holds no table of MELD",
            expected=", ".join(f"{split}_sent_emo.csv" for split in SPLITS),
            action="Give the folder that holds them, or folders with them, with --root.",
        )
    clips, other, replaced = _clips(root)
    missing = used = 0
    for split, table in tables.items():
        for cells in rows_of_csv(table, *_COLUMNS):
            row = _row(cells, split, table)
            row["path"] = clips.get(row["utterance_id"], "")
            used += bool(row["path"])
            missing += not row["path"]
            yield row
    if set(SPLITS) - set(tables):
        LOG.warning("not there: %s", ", ".join(f"{s}_sent_emo.csv" for s in SPLITS if s not in tables))
    if used and missing:
        LOG.warning("utterances without their clip: %d (text only)", missing)
    if replaced:
        LOG.warning("test clips taken from final_videos_test..., in place of those of the plain name: %d", replaced)
    left_out(len(clips) - used + other, "clips that are in no CSV")


def example(root: Path) -> Path:
    head = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
    rows = {
        "train": '1,"He\x92s \x93lost\x94 it, totally.",Joey,joy,positive,0,0,8,21,"00:16:16,059","00:16:21,731"\n'
        '2,What?,Monica,surprise,negative,0,1,8,21,"00:16:21,940","00:16:23,442"\n',
        "dev": '1,Oh my God.,Phoebe,sadness,negative,0,0,4,7,"00:20:57,256","00:21:00,049"\n',
        "test": '1,Why?,Mark,neutral,neutral,0,0,3,19,"00:14:38,127","00:14:38,127"\n',
    }
    for split, lines in rows.items():
        write_text(root / f"{split}_sent_emo.csv", head + lines, "latin-1" if split == "train" else "utf-8")
    write_text(root / "train_splits" / "dia0_utt0.mp4", "\0\0\0\x18ftypisom, no video, only its name counts here")
    write_tone(root / "output_repeated_splits_test" / "wav" / "dia0_utt0.wav", seconds=0.75)
    return root


def _clips(root: Path) -> tuple[dict[str, str], int, int]:
    """Utterance -> its clip; the number of files without a split or with another name, and of utterances with a clip cut again.

    A clip's split is the one in its name, or whose word is in the name of its folder, or of the nearest folder above that has
    one. Of several clips of an utterance the first of those cut again (`final_videos_test...`) is used, and a sound file before
    the video.
    """
    named: dict[str, list[tuple[bool, bool, str]]] = {}
    other = 0
    for path in files_below(root, ".wav", ".flac", ".mp4"):
        name = _CLIP.fullmatch(stem(path))
        folders = path.lower().split("/")[:-1]
        within = next((_FOLDERS[s] for folder in reversed(folders) for s in _FOLDERS if s in folder), None)
        if name is None or not (name[1] or within):
            other += 1
        else:
            named.setdefault(f"{name[1] or within}_{name[3]}", []).append((not name[2], path.lower().endswith(".mp4"), path))
    replaced = sum(not min(found)[0] and any(plain for plain, _, _ in found) for found in named.values())
    return {name: min(found)[2] for name, found in named.items()}, other, replaced


def _row(cells: dict[str, str], split: str, table: Path) -> Row:
    dialogue, turn = int(cells["Dialogue_ID"]), int(cells["Utterance_ID"])
    name = f"{split}_dia{dialogue}_utt{turn}"
    season, episode = cells.get("Season", ""), cells.get("Episode", "")
    begin, end = seconds_of(cells.get("StartTime", "")), seconds_of(cells.get("EndTime", ""))
    return {
        "utterance_id": name,
        "duration": round(end - begin, 3) if begin is not None and end is not None and end > begin else None,
        "text": cells["Utterance"].strip(),
        "label": cells["Emotion"],
        "emotion": canonical(LABELS, cells["Emotion"], f"{table}: {name}"),
        "speaker": cells["Speaker"].strip(),
        "session": f"s{int(season):02d}e{int(episode):02d}" if season and episode else "",
        "dialogue": f"{split}_dia{dialogue}",
        "turn": turn,
        "split": SPLITS[split],
    }
