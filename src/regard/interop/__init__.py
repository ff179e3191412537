"""Convert models to and from other formats: Hugging Face MarianMT (export, import) and CTranslate2 (export)."""
