"""The report on a corpus."""
