"""Export a run to a folder that Hugging Face's MarianMTModel and MarianTokenizer load.

Token ids are unchanged: the tokenizer's `vocab.json` lists them, and BOS is the decoder's start token. See
regard.interop.weights for the weights.

MarianTokenizer treats two kinds of text differently: it reads the character `▁` as a space, and `>>fra<<` at the
beginning of a text as one token. If sacremoses is installed, it also normalizes punctuation first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from regard.checkpoints.checkpoint import Checkpoint
from regard.errors import CheckpointError
from regard.interop.export_folder import new_folder, refuse_copying, write_json
from regard.interop.pieces import plain_text_model, refuse_columns, written_forms
from regard.interop.weights import to_marian, weight_mappings
from regard.models.transformer2017 import Config
from regard.special_tokens import BOS, EOS, PAD, SPECIAL, UNK
from regard.tokenizers.base import Tokenizers
from regard.tokenizers.tagged import TaggedTokenizer

MIN_POSITIONS = 1024  # size of Marian's position table, unless the run needs more
MAX_LENGTH = 512  # default limit of `generate`, in tokens

USAGE = """\
from transformers import MarianMTModel, MarianTokenizer
model = MarianMTModel.from_pretrained({folder!r})
tokenizer = MarianTokenizer.from_pretrained({folder!r})
output = model.generate(**tokenizer(["a line"], return_tensors="pt", padding=True))
print(tokenizer.batch_decode(output, skip_special_tokens=True))
"""


def export_marian(checkpoint: Checkpoint, out: Path) -> str:
    """Write the run to the folder `out` and return example Python code that translates with it.

    `generate` uses greedy search unless you pass `num_beams`.

    Raises:
        CheckpointError: Marian's format does not support the model, or the folder cannot be written.
    """
    refuse_columns(checkpoint.tokenizers, "marian")
    config = checkpoint.config.model
    if not isinstance(config, Config):
        raise CheckpointError(
            f"Marian's format supports only transformer2017; this run uses {config.architecture}",
            where="marian",
            fix="train transformer2017, or export to CTranslate2, which supports modern too",
        )
    refuse_copying(config, "marian")
    with new_folder(out) as folder:
        _write_tokenizers(folder, checkpoint.tokenizers)
        _write_configs(folder, checkpoint, config)
        tensors = {name: tensor.float().contiguous() for name, tensor in _weights(checkpoint, config).items()}
        (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
    return USAGE.format(folder=str(out))


def _write_tokenizers(folder: Path, tokenizers: Tokenizers) -> None:
    names = {"source": "vocab.json", "target": "target_vocab.json"}
    for side, tokenizer in (("source", tokenizers.source), ("target", tokenizers.target)):
        if isinstance(tokenizer, TaggedTokenizer):
            raise CheckpointError(
                "the sources of this run begin with tags, which Marian's tokenizer does not support",
                where="marian",
                fix="translate with regard, or train without data.tags",
            )
        model = plain_text_model(tokenizer)
        if model is None:
            raise CheckpointError(
                f"Marian's format needs a SentencePiece tokenizer; this run has tokenizer.kind = {tokenizer.kind}",
                where="marian",
                fix="train with tokenizer.kind = unigram or bpe, or export to CTranslate2",
            )
        (folder / f"{side}.spm").write_bytes(model)
        if side == "source" or not tokenizers.joint:
            write_json(folder / names[side], {piece: id for id, piece in enumerate(written_forms(tokenizer, side))})


def _weights(checkpoint: Checkpoint, config: Config) -> dict[str, Tensor]:
    state = checkpoint.model.state_dict()
    weights: dict[str, Tensor] = {}
    for mapping in weight_mappings(config, joint=checkpoint.tokenizers.joint):
        weights.update(to_marian(mapping, state[mapping.name]))
    no_bias = torch.zeros(checkpoint.tokenizers.target.size)
    weights["final_logits_bias"] = state.get("decoder.bias", no_bias).unsqueeze(0)
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
    write_json(folder / "config.json", _model_config(config, checkpoint.tokenizers, max(MIN_POSITIONS, longest)) | ids)
    search = {"bad_words_ids": [[PAD], [BOS]], "max_length": MAX_LENGTH, "num_beams": 1}
    write_json(folder / "generation_config.json", ids | search)
    written = {f"{name}_token": SPECIAL[id] for name, id in (("pad", PAD), ("bos", BOS), ("eos", EOS), ("unk", UNK))}
    write_json(folder / "special_tokens_map.json", written)
    tokenizer = {
        "tokenizer_class": "MarianTokenizer",
        "source_lang": checkpoint.config.data.source_language or None,
        "target_lang": checkpoint.config.data.target_language or None,
        "separate_vocabs": not checkpoint.tokenizers.joint,
        "model_max_length": MAX_LENGTH,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # text never contains special tokens
    }
    write_json(folder / "tokenizer_config.json", tokenizer | written)


def _model_config(config: Config, tokenizers: Tokenizers, positions: int) -> dict[str, Any]:
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
