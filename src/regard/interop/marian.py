"""A run as a folder that Hugging Face's MarianMTModel and MarianTokenizer load.

Ids stay ours: the tokenizer's `vocab.json` says which they are, so BOS is what the decoder is fed
first. Weights are those of regard.interop.weights. Two things a text can hold mean something else
there: the character `▁` is a space, and `>>fra<<` at its beginning one token. Where sacremoses is
installed, MarianTokenizer changes punctuation before anything else sees it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from regard.checkpoints.checkpoint import Checkpoint
from regard.errors import CheckpointError
from regard.interop.export_folder import new_folder, write_json
from regard.interop.pieces import plain_text_model, written_forms
from regard.interop.weights import ties, to_marian
from regard.models.transformer2017 import Config
from regard.special_tokens import BOS, EOS, PAD, SPECIAL, UNK
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.tagged import TaggedTokenizer

POSITIONS = 1024  # at least; Marian's table of positions has an end
LONGEST = 512  # tokens of a translation, unless `generate` is told otherwise

USAGE = """\
from transformers import MarianMTModel, MarianTokenizer
model = MarianMTModel.from_pretrained({folder!r})
tokenizer = MarianTokenizer.from_pretrained({folder!r})
found = model.generate(**tokenizer(["a line"], return_tensors="pt", padding=True))
print(tokenizer.batch_decode(found, skip_special_tokens=True))
"""


def export_marian(checkpoint: Checkpoint, place: Path) -> str:
    """Write the folder `place`, and give the lines of Python that translate with it.

    `generate` is greedy there unless it is given `num_beams`. Raises CheckpointError for what
    Marian's format cannot hold, and where the folder cannot be written.
    """
    config = checkpoint.config.model
    if not isinstance(config, Config):
        raise CheckpointError(
            f"Marian's format holds transformer2017 and nothing else; this run is of {config.architecture}",
            where="marian",
            fix="train transformer2017; or, for modern, export to CTranslate2",
        )
    with new_folder(place) as folder:
        _write_tokenizers(folder, checkpoint.tokenizers)
        _write_configs(folder, checkpoint, config)
        tensors = {name: tensor.float().contiguous() for name, tensor in _weights(checkpoint, config).items()}
        (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    return USAGE.format(folder=str(place))


def _write_tokenizers(folder: Path, tokenizers: Tokenizers) -> None:
    names = {"source": "vocab.json", "target": "target_vocab.json"}
    for side, tokenizer in (("source", tokenizers.source), ("target", tokenizers.target)):
        if isinstance(tokenizer, TaggedTokenizer):
            raise CheckpointError(
                "this run's sources begin with tags, of which Marian's tokenizer knows nothing",
                where="marian",
                fix="translate with regard, or train without data.tags",
            )
        model = plain_text_model(tokenizer)
        if model is None:
            raise CheckpointError(
                f"Marian's tokenizer is SentencePiece, and this run's is of the kind {tokenizer.kind}",
                where="marian",
                fix="train with tokenizer.kind = unigram or bpe; or export to CTranslate2",
            )
        (folder / f"{side}.spm").write_bytes(model)
        if side == "source" or not tokenizers.joint:
            write_json(folder / names[side], {piece: id for id, piece in enumerate(written_forms(tokenizer, side))})


def _weights(checkpoint: Checkpoint, config: Config) -> dict[str, Tensor]:
    state = checkpoint.model.state_dict()
    weights: dict[str, Tensor] = {}
    for tie in ties(config, joint=checkpoint.tokenizers.joint):
        weights.update(to_marian(tie, state[tie.ours]))
    none = torch.zeros(checkpoint.tokenizers.target.size)
    weights["final_logits_bias"] = state.get("decoder.bias", none).unsqueeze(0)
    return weights


def _write_configs(folder: Path, checkpoint: Checkpoint, config: Config) -> None:
    ids = {
        "pad_token_id": PAD,
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "decoder_start_token_id": BOS,
        "forced_eos_token_id": None,
    }
    longest = 2 * checkpoint.config.data.max_length + 64
    write_json(folder / "config.json", _model(config, checkpoint.tokenizers, max(POSITIONS, longest)) | ids)
    search = {"bad_words_ids": [[PAD], [BOS]], "max_length": LONGEST, "num_beams": 1}
    write_json(folder / "generation_config.json", ids | search)
    written = {f"{name}_token": SPECIAL[id] for name, id in (("pad", PAD), ("bos", BOS), ("eos", EOS), ("unk", UNK))}
    write_json(folder / "special_tokens_map.json", written)
    tokenizer = {
        "tokenizer_class": "MarianTokenizer",
        "source_lang": checkpoint.config.data.source_language or None,
        "target_lang": checkpoint.config.data.target_language or None,
        "separate_vocabs": not checkpoint.tokenizers.joint,
        "model_max_length": LONGEST,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # a text never spells a special token
    }
    write_json(folder / "tokenizer_config.json", tokenizer | written)


def _model(config: Config, tokenizers: Tokenizers, positions: int) -> dict[str, Any]:
    return {
        "architectures": ["MarianMTModel"],
        "model_type": "marian",
        "vocab_size": tokenizers.source.size,
        "decoder_vocab_size": tokenizers.target.size,
        "share_encoder_decoder_embeddings": tokenizers.joint,
        "tie_word_embeddings": True,
        "d_model": config.hidden_size,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        "encoder_attention_heads": config.num_heads,
        "decoder_attention_heads": config.num_heads,
        "encoder_ffn_dim": config.ffn_size,
        "decoder_ffn_dim": config.ffn_size,
        "activation_function": config.activation,
        "dropout": config.dropout,
        "attention_dropout": 0.0,
        "activation_dropout": 0.0,
        "scale_embedding": True,
        "normalize_before": False,
        "normalize_embedding": False,
        "max_position_embeddings": positions,
    }
