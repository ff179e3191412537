"""What a text consists of: segments, placeholders, emoji."""
