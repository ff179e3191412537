"""The report on several systems: trained with the same budget or finished before, tested on one test set."""
