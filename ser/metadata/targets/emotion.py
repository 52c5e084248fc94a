"""One class for each utterance: the emotion under a label scheme. Heads give probabilities by a softmax."""

LOSS, SELECTION, OUTPUT = "cross_entropy", "UA", "softmax"
SELECTIONS = ("UA", "WA", "loss", "last")
UNUSED = ()
