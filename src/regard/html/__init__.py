"""Self-contained HTML pages, for reports and for the attention explorer."""
