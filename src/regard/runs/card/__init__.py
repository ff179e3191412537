"""The model card of a run: README.md in the format of the Hugging Face hub."""
