"""`ser audit`: findings over a table, a protocol's folds and the audio, each with how many, examples, and what to do."""
