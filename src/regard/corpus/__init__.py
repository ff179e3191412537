"""Corpora: pairs of texts, and where each line comes from."""
