"""Records and saved heads on cached corpora: calibration, abstention, novelty, ensembles, gaps (`ser evaluate`)."""
