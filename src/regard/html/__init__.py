"""HTML pages that need no other file, for reports and for the attention explorer."""
