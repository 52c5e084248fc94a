"""Kinds of study: each file has a study's record (`Study`). A file's name is the kind's name."""
