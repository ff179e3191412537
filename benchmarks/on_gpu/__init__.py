"""The stages of gpu.py."""
