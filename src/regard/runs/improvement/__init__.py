"""Improve a run with corrections of its translations, and accept the result only if it is better."""
