"""Documents that are translated and given back in their own format, one file a format."""
