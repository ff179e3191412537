"""The task that every system in train_cpu.py trains: the model, its batches, and its schedule."""

VOCABULARY = 8000  # joint, including four special tokens
WIDTH = 256
LAYERS = 3  # in the encoder and in the decoder
INNER = 1024
HEADS = 4
DROPOUT = 0.1  # on sublayer outputs and embeddings, not on attention weights
SMOOTHING = 0.1  # label smoothing
BATCH = 4096  # tokens of the longer side, or the closest measure that a system offers
RATE, WARM_UP = 1e-3, 1000  # peak learning rate and warm-up updates, then inverse square root decay
BETAS = (0.9, 0.98)
CLIP = 1.0
ENDLESS = 1_000_000  # updates; no window has as many

SOURCE, TARGET = "en", "de"
