"""From options to finished runs: the experiment, its units of work, the workers."""
