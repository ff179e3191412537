"""What is wrong with a corpus: found before anyone trains on it, and taken out where that is asked for."""
