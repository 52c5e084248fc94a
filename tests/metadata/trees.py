"""Small example trees, one builder a corpus plugin: `trees.NAME(folder)` makes the release's layout and returns its root.

A new plugin needs a builder here; the generic test (`test_every_corpus.py`) fails without one.
"""

import json
from pathlib import Path

import numpy as np
import soundfile

POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 66044\n"
)


def sound(path: Path, seconds: float = 0.1, rate: int = 16000) -> Path:
    """A tone; its length is what a header tells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    soundfile.write(path, 0.1 * np.sin(2 * np.pi * 220 * time), rate)
    return path


def written(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def ravdess(folder: Path) -> Path:
    for name in ("03-01-01-01-01-01-01", "03-01-08-02-02-02-01", "03-01-06-02-02-01-12"):
        sound(folder / f"Actor_{name[-2:]}" / f"{name}.wav")
    return folder


def emodb(folder: Path) -> Path:
    for name in ("03a01Fa", "08b09Wb", "16a07Nc"):
        sound(folder / "wav" / f"{name}.wav", seconds=0.25)
    lines = ["Nr.\tSatz\terkannt\tnatuerlich", "1\xa0\xa0\t03a01Fa.wav\t65,00\xa0\xa0\t35,00\xa0",
             "2\t08b09Wb.wav\t100,00\t95,00"]  # fmt: skip
    written(folder / "erkennung.txt", "\n".join(lines) + "\n", "latin-1")
    return folder


CREMAD = ("1001_IEO_ANG_HI", "1001_DFA_NEU_XX", "1002_WSI_SAD_LO", "1040_ITH_SAD_X")


def cremad(folder: Path) -> Path:
    for name in CREMAD:
        sound(folder / "AudioWAV" / f"{name}.wav")
    written(folder / "VideoDemographics.csv", '"ActorID","Age","Sex","Race","Ethnicity"\n'
            '1001,51,"Male","Caucasian","Not Hispanic"\n1002,21,"Female","Caucasian","Not Hispanic"\n')  # fmt: skip
    head = '"","A","D","F","H","N","S","fileName","numResponses","agreement","emoVote"\n'
    votes = (
        '"100001",3,1,0,0,0,0,"1001_IEO_ANG_HI",4,0.75,"A"\n'  # voice only
        '"100002",0,0,0,0,0,5,"1040_ITH_SAD_XX",5,1,"S"\n'
        '"200001",0,0,9,0,0,0,"1001_IEO_ANG_HI",9,1,"F"\n'  # face only
        '"300001",0,0,0,8,0,0,"1001_IEO_ANG_HI",8,1,"H"\n'  # audio-visual
    )
    written(folder / "processedResults" / "tabulatedVotes.csv", head + votes)
    names = "".join(f'{n},"{name}"\n' for n, name in enumerate(CREMAD[:3], start=1))
    written(folder / "SentenceFilenames.csv", '"Stimulus_Number","Filename"\n' + names)
    return folder


EVALUATION = """% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]

[10.0100 - 11.3925]\tSes01F_impro01_M000\txxx\t[2.5000, 2.5000, 3.0000]
C-E2:\tNeutral;\t()
C-E3:\tAnger; Frustration;\t()
C-E4:\tFrustration;\t(tense; annoyed)
C-M1:\tHappiness;\t()
A-E3:\tval 2; act 3; dom  4;\t(guarded; ready)
A-M1:\tval 5; act 5; dom  5;\t()

[6.2901 - 8.2357]\tSes01F_impro01_F000\tneu\t[2.5000, 2.0000, 3.5000]
C-E2:\tNeutral;\t()
C-E3:\tNeutral state;\t()
C-E4:\tExcited;\t()
C-F1:\tNeutral;\t(curious)
A-E3:\tval 3; act 2; dom  2;\t()
"""
TRANSCRIPT = (
    "Ses01F_impro01_F000 [006.2901-008.2357]: Excuse me.\n"
    "M: Yeah.\n"
    "Ses01F_impro01_MXX0 [008.3000-009.0000]: [LAUGHTER]\n"
    "Ses01F_impro01_M000 [010.0100-011.3925]: It's 10:30, isn't it?\n"
)


def iemocap(folder: Path) -> Path:
    for name in ("Ses01F_impro01_F000", "Ses01F_impro01_M000"):
        sound(folder / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / f"{name}.wav", seconds=0.5)
    sound(folder / "Session1" / "dialog" / "wav" / "Ses01F_impro01.wav")  # both speakers: not an utterance
    written(folder / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt", EVALUATION)
    written(folder / "Session1" / "dialog" / "EmoEvaluation" / "Categorical" / "Ses01F_impro01_e2_cat.txt", "x :Anger;")
    written(folder / "Session1" / "dialog" / "transcriptions" / "Ses01F_impro01.txt", TRANSCRIPT)
    return folder


MELD_HEAD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"


def meld(folder: Path) -> Path:
    rows = {
        "train": '1,"He\x92s \x93lost\x94 it, totally.",Joey,joy,positive,0,0,8,21,"00:16:16,059","00:16:21,731"\n'
        '2,What?,Monica,surprise,negative,0,1,8,21,"00:16:21,940","00:16:23,442"\n',
        "dev": '1,Oh my God.,Phoebe,sadness,negative,0,0,4,7,"00:20:57,256","00:21:00,049"\n',
        "test": '1,Why?,Mark,neutral,neutral,0,0,3,19,"00:14:38,127","00:14:38,127"\n',
    }
    for split, lines in rows.items():
        written(folder / f"{split}_sent_emo.csv", MELD_HEAD + lines, "latin-1" if split == "train" else "utf-8")
    written(folder / "train_splits" / "dia0_utt0.mp4", "no video, only its name counts here")
    sound(folder / "output_repeated_splits_test" / "wav" / "dia0_utt0.wav", seconds=0.75)
    return folder


def folder(folder: Path) -> Path:
    sound(folder / "angry" / "a.wav")
    sound(folder / "Happy" / "anna" / "a.flac")
    sound(folder / "whispered" / "bert" / "a.wav")
    return folder


def csv(folder: Path) -> Path:
    sound(folder / "audio" / "a.wav")
    sound(folder / "audio" / "b.wav", seconds=2.0)
    table = (
        "file,Label,speaker_id,sex,sentence,start,end,set,mood\n"
        'audio/a.wav,angry,01,f,"Well, ""no"".\nNever.",,,dev,x\n'
        "audio/b.wav,sad,02,M,NA,0.5,1.25,train,y\n"
    )
    return written(folder / "mine.csv", table)


def jsonl(folder: Path) -> Path:
    sound(folder / "a.wav")
    rows = [
        {"audio_filepath": "a.wav", "emotion": "Happy", "speaker": 7, "votes": {"happy": 3, "angry": 1}},
        {"id": "t1", "transcript": "only text", "label": "fearful"},
    ]
    return written(folder / "mine.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
