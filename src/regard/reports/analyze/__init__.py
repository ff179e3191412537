"""The report on one run, or on two against each other."""
