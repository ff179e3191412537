"""The report that compares systems trained under one budget, or finished runs."""
