"""Write a tiny folder like those of OPUS-MT: made by transformers, with random weights and new SentencePiece models."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sentencepiece
import torch
import transformers
from tests.unit.interop.models import pairs

SEED = {True: 8, False: 49}  # by joint: chosen so that most translations differ and end
NOISE, END = 0.3, 4.0
LINES = [
    "the small fox",
    "  a lazy\u00a0dog \t sleeps ",
    "straße and ähnlich",
    "dog",
    ">>deu<< the ﬁne dog",
    "over 漢字",
]


def sentencepiece_model(sentences: list[str]) -> bytes:
    """Train a model like those of OPUS-MT: normalized text, a leading space, and no bytes for unknown characters."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences), model_writer=model, vocab_size=40, minloglevel=2, num_threads=1
    )
    return model.getvalue()


def pieces(model: bytes) -> Iterator[str]:
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    special = ("<unk>", "<s>", "</s>")
    return (piece for piece in map(processor.id_to_piece, range(len(processor))) if piece not in special)


def make(folder: Path, *, joint: bool = True, **changes: Any) -> Any:
    """Write the folder and return the model in it."""
    folder.mkdir()
    models = {
        side: sentencepiece_model(list(texts))
        for side, texts in zip(SIDES, zip(*pairs(200, 3), strict=True), strict=True)
    }
    for side, model in models.items():
        (folder / f"{side}.spm").write_bytes(model)
    known = {side: list(dict.fromkeys(pieces(model))) for side, model in models.items()}
    both = list(dict.fromkeys([">>deu<<", *known["source"], *known["target"]]))
    if joint:
        sizes = [write_vocabulary(folder / "vocab.json", both)]
    else:  # of different sizes, with the pad token at the same id in both
        names = ("vocab.json", "target_vocab.json")
        lists = [["<pad>", ">>deu<<", *known["source"]], ["<pad>", *known["target"]]]
        sizes = [write_vocabulary(folder / name, listed) for name, listed in zip(names, lists, strict=True)]
    tokenizer = {"source_lang": "eng", "target_lang": "deu", "separate_vocabs": not joint, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "tokenizer_class": "MarianTokenizer"}))
    model = random_model(sizes, 2 if not joint else sizes[0] - 1, joint, changes)
    model.save_pretrained(folder)
    return model


SIDES = ("source", "target")


def write_vocabulary(path: Path, known: list[str]) -> int:
    listed = list(dict.fromkeys(["</s>", "<unk>", *known, "<pad>"]))
    path.write_text(json.dumps({piece: id for id, piece in enumerate(listed)}), encoding="utf-8")
    return len(listed)


def random_model(sizes: list[int], pad: int, joint: bool, changes: dict[str, Any]) -> Any:
    options = {
        "vocab_size": sizes[0],
        "decoder_vocab_size": sizes[-1],
        "d_model": 16,
        "encoder_layers": 2,
        "decoder_layers": 1,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 4,
        "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24,
        "activation_function": "swish",
        "scale_embedding": True,
        "share_encoder_decoder_embeddings": joint,
        "max_position_embeddings": 128,
        "pad_token_id": pad,
        "decoder_start_token_id": pad,
        "eos_token_id": 0,
        "forced_eos_token_id": None,
    }
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(SEED[joint])
        model: Any = transformers.MarianMTModel(transformers.MarianConfig(**{**options, **changes}))
        model.eval()
        for name, parameter in model.named_parameters():
            if parameter.requires_grad and "embed_positions" not in name:
                parameter.add_(NOISE * torch.randn_like(parameter))
        tables = {id(table): table for table in (model.get_encoder().embed_tokens, model.get_decoder().embed_tokens)}
        for table in tables.values():
            table.weight[pad] = 0
        model.final_logits_bias.copy_(torch.randn_like(model.final_logits_bias))
        model.final_logits_bias[0, 0] = END
    model.generation_config.bad_words_ids = [[pad]]
    model.generation_config.max_length = 60
    model.generation_config.num_beams = 3
    return model.requires_grad_(False)
