"""Read the files of an untrusted MarianMT folder: run no code from them, and validate everything."""

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
from regard.errors import CheckpointError, raise_on_os_error
from regard.files import read_regular_file

FIX_FOLDER = "use a folder saved by Hugging Face's MarianMTModel and MarianTokenizer, with source.spm and vocab.json"
FIX_MODEL = "only OPUS-MT Transformers can be imported: tied output, scaled embeddings, relu or swish"
FIX_PICKLE = "use model.safetensors, or, if you trust the file, load it with transformers and save it again"


class MarianConfig(BaseModel):
    """The fields of config.json that an import needs. Fields without a default are required."""

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
        """Number of rows of the target embedding."""
        separate = not self.share_encoder_decoder_embeddings and self.decoder_vocab_size
        return self.decoder_vocab_size if separate and self.decoder_vocab_size else self.vocab_size


def read_config(folder: Path) -> MarianConfig:
    """Read config.json. Raise CheckpointError if it is invalid or describes a model that cannot be imported."""
    path = folder / "config.json"
    try:
        config = MarianConfig.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key, value = ".".join(map(str, first["loc"])), first["input"]
        got = "" if first["type"] == "missing" else f" (got {str(value)[:60]!r})"
        raise CheckpointError(f"`{key}`: {first['msg']}{got}", where=path, fix=FIX_MODEL) from None
    for name in ("attention_heads", "ffn_dim"):
        sizes = [getattr(config, f"{side}_{name}") for side in ("encoder", "decoder")]
        if sizes[0] != sizes[1]:
            raise CheckpointError(
                f"encoder_{name} and decoder_{name} differ ({sizes[0]} and {sizes[1]})", where=path, fix=FIX_MODEL
            )
    max_id = max(config.pad_token_id, config.eos_token_id, config.decoder_start_token_id)
    if max_id >= config.target_size:
        raise CheckpointError(
            f"token id {max_id} is out of range: the vocabulary has {config.target_size:,} tokens",
            where=path,
            fix=FIX_FOLDER,
        )
    return config


def read_vocabulary(path: Path, size: int) -> dict[str, int]:
    """Read the id of each piece. Raise CheckpointError unless the ids are exactly 0 to size - 1."""
    vocabulary = read_json(path)
    ids = sorted(id for id in vocabulary.values() if type(id) is int)
    if len(vocabulary) != size or ids != list(range(size)):
        raise CheckpointError(
            f"the values must be the ids 0 to {size - 1:,}, each exactly once", where=path, fix=FIX_FOLDER
        )
    for piece in ("</s>", "<unk>", "<pad>"):
        if piece not in vocabulary:
            raise CheckpointError(f"the token {piece} is missing", where=path, fix=FIX_FOLDER)
    return vocabulary


def read_json(path: Path) -> dict[str, Any]:
    """Read one JSON object. Raise CheckpointError if the file is missing or holds something else."""
    try:
        value = json.loads(read_regular_file(path).decode())
    except FileNotFoundError:
        problem = "the file does not exist" if path.parent.is_dir() else "there is no such folder"
        raise CheckpointError(problem, where=path if path.parent.is_dir() else path.parent, fix=FIX_FOLDER) from None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=FIX_FOLDER) from None
    if not isinstance(value, dict):
        raise CheckpointError("the file is not a JSON object", where=path, fix=FIX_FOLDER)
    return value


def read_bytes(path: Path) -> bytes:
    """Read a whole file. Raise CheckpointError if it cannot be read."""
    with raise_on_os_error(CheckpointError, "the file cannot be read", where=path, fix=FIX_FOLDER):
        return read_regular_file(path)


def read_weights(folder: Path) -> tuple[Path, dict[str, Tensor]]:
    """Read the weights from model.safetensors, or else from pytorch_model.bin.

    pytorch_model.bin is a pickle, which could run code: it is loaded with weights_only=True.

    Returns:
        The path of the file, and its tensors by name, converted to float32.

    Raises:
        CheckpointError: There is no such file, it cannot be read, or it holds something other than finite tensors.
    """
    path = folder / "model.safetensors"
    if path.is_file():
        try:
            contents: Any = load_file(path)
        except (OSError, SafetensorError) as error:
            raise CheckpointError(f"the file cannot be read: {error}", where=path, fix=FIX_FOLDER) from None
    else:
        path = folder / "pytorch_model.bin"
        if not path.is_file():
            raise CheckpointError(
                "no weights: neither model.safetensors nor pytorch_model.bin exists", where=folder, fix=FIX_FOLDER
            )
        contents = _read_pickle(path)
    if not isinstance(contents, dict) or not all(_is_weight(name, tensor) for name, tensor in contents.items()):
        raise CheckpointError("the file does not hold floating-point tensors by name", where=path, fix=FIX_FOLDER)
    weights = {name: tensor.float() for name, tensor in contents.items()}
    for name, tensor in weights.items():
        if not tensor.isfinite().all():
            raise CheckpointError(f"{name} is not finite", where=path, fix="download the file again")
    return path, weights


def _read_pickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (
        Exception
    ) as error:  # a broken pickle can raise any exception; one that would run code raises UnpicklingError
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        raise CheckpointError(
            f"the file is a pickle that cannot be loaded safely (weights_only=True): {reason}",
            where=path,
            fix=FIX_PICKLE,
        ) from None


def _is_weight(name: object, tensor: object) -> bool:
    return (
        isinstance(name, str)
        and isinstance(tensor, Tensor)
        and tensor.is_floating_point()
        and tensor.layout == torch.strided
        and tensor.untyped_storage().nbytes()
        >= tensor.numel() * tensor.element_size()  # not an expanded view of a few numbers
    )
