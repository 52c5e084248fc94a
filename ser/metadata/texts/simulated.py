"""Simulated sentences: English text written for each emotion, which gives the label away. They serve to study just that.

The sentence of an utterance depends on its emotion, its id and a seed alone: it is the same on every machine and in any order.
"""

import hashlib
from collections.abc import Mapping

from ser.files import JsonObject

WORDS: Mapping[str, tuple[str, ...]] = {
    "who": ("my brother", "the landlord", "our neighbour", "my boss", "the driver", "an old friend", "the doctor"),
    "what": ("the letter", "that phone call", "the meeting", "the news", "the parcel", "the trip", "what I was told"),
    "when": ("this morning", "last night", "on Friday", "an hour ago", "after lunch", "at the station", "on the way home"),
}  # fmt: skip
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "anger": (
        "How dare {who} do that to me {when}!",
        "I am furious about {what}, and I will not put up with it.",
        "Enough! I have told {who} a hundred times to stop.",
        "It makes my blood boil to think of {what}.",
        "{who} lied to my face {when}, it is an outrage.",
    ),
    "happiness": (
        "I could dance for joy, {what} was wonderful!",
        "{who} made me laugh so much {when}.",
        "What a lovely surprise it was to hear from {who}, I am so glad.",
        "Everything went well {when}, I could not be happier.",
        "I have been smiling ever since {what}.",
    ),
    "neutral": (
        "{who} arrived {when}.",
        "I put the keys on the table {when}.",
        "{what} is on page four.",
        "There are twelve chairs in the room, {who} counted them.",
        "The bus leaves at ten past nine.",
    ),
    "sadness": (
        "I have been crying ever since {what}.",
        "I miss {who} so much, the house is empty now.",
        "Nothing has been the same, it breaks my heart.",
        "I sat alone {when} and could not stop the tears.",
        "{who} is gone, and I never said goodbye.",
    ),
    "fear": (
        "Please lock the door, I think {who} followed me {when}.",
        "My hands are shaking, I am so afraid of {what}.",
        "Did you hear that noise? I am terrified.",
        "I was scared to death {when}, I thought I would not get out.",
        "I dread {what}, something awful is going to happen.",
    ),
    "disgust": (
        "It smelled so foul {when} that I felt sick.",
        "How revolting, {who} spat on the floor!",
        "I cannot even look at it, it is covered in mould.",
        "The thought of {what} turns my stomach.",
        "There was a hair in the soup {when}, how vile.",
    ),
    "surprise": (
        "What? I never expected {who} to be here!",
        "You cannot be serious, {what} came out of nowhere!",
        "I could hardly believe my eyes {when}!",
        "Wow, who would have thought that of {who}?",
        "All of a sudden the lights went on {when}, I was amazed!",
    ),
    "calm": (
        "There is no hurry, we will talk about {what} in good time.",
        "I sat by the lake {when} and breathed slowly.",
        "All is quiet, and I feel at peace.",
        "It will be all right, {who} and I took our time.",
        "I am quite relaxed about {what}.",
    ),
    "excitement": (
        "I can hardly wait, {what} starts tomorrow!",
        "Come on, {who} is already there, this is going to be amazing!",
        "I have been jumping up and down since {what}!",
        "We are really going, I could not sleep {when}!",
        "This is the best thing ever, tell {who} at once!",
    ),
    "frustration": (
        "I have tried it five times {when}, and it still does not work.",
        "{who} keeps sending me to another counter, it is no use.",
        "Why does nobody answer? I am tired of asking about {what}.",
        "Whatever I do, I end up where I began.",
        "I give up, explaining {what} to {who} leads nowhere.",
    ),
    "boredom": (
        "The same old story again, {what} drags on and on.",
        "I yawned all the time {when}, there was nothing to do.",
        "{who} has been talking for hours, how dull.",
        "I am counting the minutes until this is over.",
        "Nothing ever happens here, I nearly fell asleep.",
    ),
    "contempt": (
        "{who} calls that work? How pathetic.",
        "I would not waste a word on {what}.",
        "As if {who} had any idea, do not make me laugh.",
        "People like that are beneath me.",
        "What a poor excuse, I expected no better of {who}.",
    ),
    "other": (
        "I do not know what to make of {what}.",
        "Well, {who} said something or other {when}.",
        "It is hard to say how I feel about it.",
        "I suppose {what} could mean anything.",
        "Perhaps {who} knows, I do not.",
    ),
}  # fmt: skip


def sentence(emotion: str, utterance: str, seed: int = 0) -> str:
    """The sentence of an utterance; "" where it has no emotion.

    Args:
        emotion: canonical.
        utterance: its id.

    >>> sentence("anger", "u1") == sentence("anger", "u1")
    True
    """
    if not emotion:
        return ""
    digest = hashlib.sha256(f"{seed}\0{utterance}".encode()).digest()
    templates = TEMPLATES[emotion]
    words = {name: choice[digest[k] % len(choice)] for k, (name, choice) in enumerate(WORDS.items(), start=1)}
    text = templates[digest[0] % len(templates)].format(**words)
    return text[0].upper() + text[1:]


def identity() -> JsonObject:
    """The identity of the sentences: that of these lists."""
    content = repr((sorted(WORDS.items()), sorted(TEMPLATES.items())))
    return {"sentences_sha256": hashlib.sha256(content.encode()).hexdigest()}
