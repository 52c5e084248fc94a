"""Small example trees, one builder a corpus plugin: `trees.NAME(folder)` makes the release's layout and returns its root.

A new plugin needs a builder here; the generic test (`test_every_corpus.py`) fails without one.
"""

import json
from pathlib import Path

import numpy as np
import pytest
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


def _sounds(folder: Path, *paths: str) -> Path:
    for path in paths:
        sound(folder / path)
    return folder


def tess(folder: Path) -> Path:
    top = folder / "TESS Toronto emotional speech set data"
    _sounds(
        top, "OAF_neutral/OA_bite_neutral.wav", "OAF_Pleasant_surprise/OAF_back_ps.wav", "YAF_angry/YAF_back_angry.wav"
    )
    return _sounds(folder, "YAF_sheep_sad.wav")


def savee(folder: Path) -> Path:
    return _sounds(folder, "AudioData/DC/a01.wav", "AudioData/DC/sa15.wav", "AudioData/KL/su03.wav", "ALL/JE_n30.wav")


def urdu(folder: Path) -> Path:
    return _sounds(folder, "Angry/SM1_F1_A01.wav", "Happy/SF1_F10_H010.wav", "Neutral/SM5/SM5_F3_N057.wav")


def nemo(folder: Path) -> Path:
    names = ("MK0_fear_13", "KS0_surprised_35", "EB0_neutral_13")
    _sounds(folder, *(f"samples/{name}.wav" for name in names))
    head = "file_id\temotion\traw_text\tnormalized_text\tspeaker_id\tgender\tage\n"
    written(
        folder / "data.tsv",
        head + 'MK0_fear_13.wav\tfear\tTo "jest" zdanie.\tto jest zdanie\t        MK0\tfemale\t23\n'
        "KS0_surprised_35.wav\tsurprised\tAby upiec, muszę.\taby upiec muszę\t        KS0\tmale\t23\n"
        'EB0_neutral_13.wav\tneutral\tTo "jest" zdanie.\tto jest zdanie\t        EB0\tfemale\t27\n',
    )
    return folder


def esd(folder: Path) -> Path:
    top = folder / "Emotion Speech Dataset"
    _sounds(top, "0001/Surprise/0001_001750.wav", "0011/Neutral/0011_000001.wav")
    _sounds(top, "0011/Angry/evaluation/0011_000351.wav", "0011/Angry/train/0011_000401.wav")
    written(top / "0001" / "0001.txt", "0001_001750\t他说 好。\t惊喜\n", "gb18030")
    lines = ("0011_000001\tThe nine the eggs, I keep.\tNeutral", "0011_000351\tThe nine the eggs, I keep.\tAngry",
             "0011_000401\tTom then climbed.\tAngry")  # fmt: skip
    written(top / "0011" / "0011.txt", "\r\n".join(lines), "utf-16")
    return folder


def emovo(folder: Path) -> Path:
    return _sounds(folder, *(f"EMOVO/{n}.wav" for n in ("f1/gio-f1-b1", "m3/tri-m3-l3", "m3/neu-m3-d2")))


def aesdd(folder: Path) -> Path:
    return _sounds(folder, "anger/a01 (1).wav", "anger/a06 (5)b.wav", "fear/f10 (01).wav", "sadness/s20 (6).wav")


def cafe(folder: Path) -> Path:
    names = ("Colère/Faible/01-C-1-4", "Tristesse/Fort/12-T-2-1", "Neutre/02-N-1-6")
    return _sounds(folder, *(f"CaFE_48k/{name}.wav" for name in names))


def shemo(folder: Path) -> Path:
    _sounds(folder, "female/F01A01.wav", "male/M56W03.wav")
    written(folder / "transcript" / "female" / "F01A01.ort", "دیگه نمی‌تونم.\n")
    written(folder / "transcript" / "male" / "M56W03.ort", "چی؟")
    return folder


def subesco(folder: Path) -> Path:
    names = ("F_01_OISHI_S_10_ANGRY_1", "F_02_MONIKA_S_2_SURPRISE_3]", "M_10_TITAS_S_2_NEUTRAL_5")
    return _sounds(folder, *(f"SUBESCO/{name}.wav" for name in names))


def banglaser(folder: Path) -> Path:
    names = ("03-01-01-01-01-01-01", "03-01-03-02-03-02-34", "03-01-05-01-02-03-10")
    return _sounds(folder, *(f"BanglaSER/Actor {name[-2:]}/{name}.wav" for name in names))


def iitkgp_sehsc(folder: Path) -> Path:
    return _sounds(folder, "1/session2/anger/01.2.anger-3.wav", "1/session3/sarcastic/71.3.sar-12.wav",
                   "10/session1/sadness/10.1.sad-3.wav")  # fmt: skip


def iitkgp_sesc(folder: Path) -> Path:
    return _sounds(folder, "Speaker (1)/Season (2)/Anger_all.wav", "Speaker (4)/Season (10)/Compasssion_all.wav",
                   "Speaker (10)/Season (1)/Happy_07.wav")  # fmt: skip


def emobox_line(corpus: str, name: str, emo: str, **more: object) -> dict[str, object]:
    """An utterance as EmoBox writes it."""
    return {"key": f"{corpus}-{name}", "dataset": corpus, "wav": f"downloads/{corpus}/{name}.wav", "type": "raw",
            "sample_rate": 16000, "num_frame": 1600.0, "task": "category", "length": 0.1, "emo": emo, "channel": 1,
            **more}  # fmt: skip


def json_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    return written(path, "".join(json.dumps(row) + "\n" for row in rows))


def emobox(folder: Path) -> Path:
    rows = [emobox_line("tess", f"{who}-{word}", emo) for who, word, emo in (
        ("OAF", "back", "angry"), ("YAF", "back", "ps"), ("OAF", "bite", "neutral"), ("YAF", "bite", "neutral"))]  # fmt: skip
    for row in rows:
        sound(folder / str(row["wav"]))
    below = folder / "data" / "tess"
    written(below / "label_map.json", '{"angry": "Angry", "ps": "Surprise", "neutral": "Neutral"}')
    keys = [str(row["key"]) for row in rows]
    stm = (f"{key} 1 {key.split('-')[1]} 0 0.1 <id={key},lang=en,spk={key.split('-')[1]},emotion=x> x" for key in keys)
    written(below / "data.seg.wrd.stm", "\n".join(stm) + "\n")
    json_lines(below / "fold_1" / "tess_train_fold_1.jsonl", rows[1:])
    json_lines(below / "fold_1" / "tess_test_fold_1.jsonl", rows[:1])
    return json_lines(below / "tess.jsonl", rows)


def audformat(folder: Path) -> Path:
    """Segments with emotions in a table that has a split, speakers in a table of whole files."""
    package = pytest.importorskip("audformat")
    sound(folder / "audio" / "a.wav", seconds=2.0)
    sound(folder / "audio" / "b.wav")
    database = package.Database("toy", languages=["deu"], license="CC0-1.0")
    database.schemes["emotion"] = package.Scheme(labels=["angry", "happy"])
    database.schemes["speaker"] = package.Scheme(
        labels={"s1": {"gender": "female", "age": 30}, "s2": {"gender": "male"}}
    )
    database.splits["test"] = package.Split(package.define.SplitType.TEST)
    index = package.segmented_index(["audio/a.wav", "audio/a.wav"], ["0s", "0.5s"], ["0.5s", "1.25s"])
    database["segments"] = package.Table(index, split_id="test")
    database["segments"]["emotion"] = package.Column(scheme_id="emotion")
    database["segments"]["emotion"].set(["angry", "happy"])
    database["whole"] = package.Table(package.filewise_index(["audio/b.wav"]))
    database["whole"]["emotion"] = package.Column(scheme_id="emotion")
    database["whole"]["emotion"].set(["happy"])
    database["files"] = package.Table(package.filewise_index(["audio/a.wav", "audio/b.wav"]))
    database["files"]["speaker"] = package.Column(scheme_id="speaker")
    database["files"]["speaker"].set(["s1", "s2"])
    database.save(str(folder), storage_format="csv")
    return folder


def datasets(folder: Path) -> Path:
    """Two splits: audio inside the dataset, labels as numbers of a ClassLabel."""
    package, arrow = pytest.importorskip("datasets"), pytest.importorskip("pyarrow")
    features = package.Features(
        {
            "audio": package.Audio(),
            "emotion": package.ClassLabel(names=["happy", "sad"]),
            "speaker_id": package.Value("string"),
        }
    )
    made = package.DatasetDict()
    for split, names in (("train", "ab"), ("test", "c")):
        files = [sound(folder.parent / f"{name}.wav", seconds=0.5) for name in names]
        columns = {
            "audio": [{"bytes": file.read_bytes(), "path": file.name} for file in files],
            "emotion": [int(name == "b") for name in names],
            "speaker_id": [f"s-{name}" for name in names],
        }
        table = package.table.InMemoryTable(arrow.table(columns, schema=features.arrow_schema))
        made[split] = package.Dataset(table, info=package.DatasetInfo(features=features))
    made.save_to_disk(str(folder))
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
