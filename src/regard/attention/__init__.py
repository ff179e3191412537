"""Attention maps of a model: computed for a sentence pair, shown on the terminal or on a page."""
