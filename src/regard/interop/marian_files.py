"""The files of a MarianMT folder, read without trusting them: nothing in them runs, and what is odd is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from regard.config.schema import MAX_HEADS, MAX_LAYERS, MAX_VOCABULARY, MAX_WIDTH
from regard.errors import CheckpointError
from regard.files import read_regular_file

FOLDER = "give a folder as Hugging Face's MarianMTModel and MarianTokenizer save it, with source.spm and vocab.json"
MODELS = "regard imports the Transformers of OPUS-MT: tied output, scaled embeddings, relu or swish"
FIX_BIN = "take the model as model.safetensors; or load it with transformers, if you trust it, and save it again"


class MarianConfig(BaseModel):
    """What has to be known of config.json; what is absent and has no default here is needed."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    model_type: Literal["marian"]
    vocab_size: int = Field(ge=4, le=MAX_VOCABULARY)
    decoder_vocab_size: int | None = Field(None, ge=4, le=MAX_VOCABULARY)
    d_model: int = Field(ge=2, multiple_of=2, le=MAX_WIDTH)
    encoder_layers: int = Field(ge=1, le=MAX_LAYERS)
    decoder_layers: int = Field(ge=1, le=MAX_LAYERS)
    encoder_attention_heads: int = Field(ge=1, le=MAX_HEADS)
    decoder_attention_heads: int = Field(ge=1, le=MAX_HEADS)
    encoder_ffn_dim: int = Field(ge=1, le=MAX_WIDTH)
    decoder_ffn_dim: int = Field(ge=1, le=MAX_WIDTH)
    activation_function: Literal["relu", "swish", "silu"]
    scale_embedding: Literal[True]
    tie_word_embeddings: Literal[True] = True
    share_encoder_decoder_embeddings: bool = True
    dropout: float = Field(0.1, ge=0, lt=1)
    pad_token_id: int = Field(ge=0)
    eos_token_id: int = Field(ge=0)
    decoder_start_token_id: int = Field(ge=0)

    @property
    def target_size(self) -> int:
        """Rows of the target's embedding."""
        separate = not self.share_encoder_decoder_embeddings and self.decoder_vocab_size
        return self.decoder_vocab_size if separate and self.decoder_vocab_size else self.vocab_size


def read_config(folder: Path) -> MarianConfig:
    """config.json. Raises CheckpointError, also for a Marian model of another make than ours can be."""
    path = folder / "config.json"
    try:
        config = MarianConfig.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, given = ".".join(map(str, first["loc"])), first["input"]
        it_is = "" if first["type"] == "missing" else f" (it is {str(given)[:60]!r})"
        raise CheckpointError(f"`{key}`: {first['msg']}{it_is}", where=path, fix=MODELS) from None
    for name in ("attention_heads", "ffn_dim"):
        sizes = [getattr(config, f"{side}_{name}") for side in ("encoder", "decoder")]
        if sizes[0] != sizes[1]:
            raise CheckpointError(
                f"encoder_{name} and decoder_{name} differ ({sizes[0]} and {sizes[1]})", where=path, fix=MODELS
            )
    highest = max(config.pad_token_id, config.eos_token_id, config.decoder_start_token_id)
    if highest >= config.target_size:
        raise CheckpointError(f"there is no token {highest}, only {config.target_size:,}", where=path, fix=FOLDER)
    return config


def read_vocabulary(path: Path, size: int) -> dict[str, int]:
    """Pieces and their ids, which are 0 to size - 1. Raises CheckpointError."""
    vocabulary = read_json(path)
    ids = sorted(id for id in vocabulary.values() if type(id) is int)
    if len(vocabulary) != size or ids != list(range(size)):
        raise CheckpointError(f"its values are not the ids 0 to {size - 1:,}, each once", where=path, fix=FOLDER)
    for piece in ("</s>", "<unk>", "<pad>"):
        if piece not in vocabulary:
            raise CheckpointError(f"there is no {piece}", where=path, fix=FOLDER)
    return vocabulary


def read_json(path: Path) -> dict[str, Any]:
    """One JSON object. Raises CheckpointError."""
    try:
        value = json.loads(read_regular_file(path).decode())
    except FileNotFoundError:
        there = "the file is not there" if path.parent.is_dir() else "there is no such folder"
        raise CheckpointError(there, where=path if path.parent.is_dir() else path.parent, fix=FOLDER) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=FOLDER) from None
    if not isinstance(value, dict):
        raise CheckpointError("the file is no JSON object", where=path, fix=FOLDER)
    return value


def read_bytes(path: Path) -> bytes:
    """A whole file. Raises CheckpointError."""
    try:
        return read_regular_file(path)
    except OSError as error:
        raise CheckpointError(f"the file cannot be read: {error.strerror}", where=path, fix=FOLDER) from None


def read_weights(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """The tensors of model.safetensors, else of pytorch_model.bin, by name, in float32; and the file.

    The latter is a pickle, which could run anything: only what torch.load(weights_only=True) takes
    is taken. Raises CheckpointError.
    """
    path = folder / "model.safetensors"
    if path.is_file():
        try:
            found: Any = load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=FOLDER) from None
    else:
        path = folder / "pytorch_model.bin"
        if not path.is_file():
            raise CheckpointError(
                "there are no weights: neither model.safetensors nor pytorch_model.bin", where=folder, fix=FOLDER
            )
        found = _read_pickle(path)
    if not isinstance(found, dict) or not all(_is_weight(name, tensor) for name, tensor in found.items()):
        raise CheckpointError("it does not hold tensors of numbers by name", where=path, fix=FOLDER)
    weights = {name: tensor.float() for name, tensor in found.items()}
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise CheckpointError(f"{name} holds what is not a number", where=path, fix="take another copy of it")
    return path, weights


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken pickle raises anything; one that would run code, UnpicklingError
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise CheckpointError(
            f"the file is a pickle, of which nothing but tensors is read (weights_only), and that failed: {reason}",
            where=path,
            fix=FIX_BIN,
        ) from None


def _is_weight(name: object, tensor: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(tensor, Tensor)
        and tensor.is_floating_point()
        and tensor.layout == torch.strided
        and tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()  # not one number for billions
    )
