"""Runs of experiments, from options to finished runs: plan, jobs, workers, predictions."""
