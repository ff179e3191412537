"""Recipes: their schema, how they are read, and where their corpora are."""
