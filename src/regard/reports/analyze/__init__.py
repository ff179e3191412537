"""The report on one run, or on a comparison of two runs."""
