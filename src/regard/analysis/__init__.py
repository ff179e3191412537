"""What a model attends to, as pictures."""
