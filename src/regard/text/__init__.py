"""Corpora, tokenizers and vocabularies; no tensors here."""
