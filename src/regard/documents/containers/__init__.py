"""Documents in ZIP containers: office documents and EPUB. Members that are not text are copied."""
