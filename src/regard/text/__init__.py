"""The parts of a text: segments, placeholders and emoji."""
