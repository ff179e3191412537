"""Documents that are translated and written back in their own format, one module per format."""
