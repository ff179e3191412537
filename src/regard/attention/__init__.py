"""What a model attends to: attention maps, on the terminal and on a page."""
