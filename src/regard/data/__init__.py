"""Training data: token stores on disk, batches, and loaders that can resume anywhere."""
