"""One file a command of training: from options to a record."""
