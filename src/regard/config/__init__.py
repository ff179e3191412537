"""Recipes: their schema, their reader, and the reference of all keys."""
