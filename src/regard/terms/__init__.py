"""Terms: glossaries, word forms learned from training data, and training with inline term tags."""
