"""Checkpoints and the folders of runs."""
