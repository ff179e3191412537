"""Checkpoints and run folders: written whole or not at all, and read without trust."""
