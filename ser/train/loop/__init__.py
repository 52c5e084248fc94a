"""The training loop: a stack of runs, its data, targets, optimisation, validation and selection."""
