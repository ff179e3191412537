"""Runs served over HTTP: requests gathered into batches, two published interfaces, and what the page needs."""
