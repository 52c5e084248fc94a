"""The text of utterances: the corpus's own, transcripts, and simulated sentences."""
