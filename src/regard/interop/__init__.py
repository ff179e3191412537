"""Models in the formats of others: Hugging Face's MarianMT, out and in, and CTranslate2, out."""
