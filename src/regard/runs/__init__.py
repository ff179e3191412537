"""The life of a run: recipe, preparation, training, resuming."""
