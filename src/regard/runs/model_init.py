"""The model at the first step of a run: fresh weights, or those of the run it starts from."""

from __future__ import annotations

from pathlib import Path

import torch

from regard.checkpoints.checkpoint import load_checkpoint, vocabulary_sizes
from regard.config.schema import RunConfig
from regard.console import Say
from regard.contract import Seq2Seq
from regard.models import build_model
from regard.runs.prepared import Prepared
from regard.runs.warm_start import STARTED
from regard.training.distributed import ProcessGroup
from regard.training.freeze import freeze
from regard.training.microbatches import raise_on_oom


def init_model(config: RunConfig, data: Path, prepared: Prepared, processes: ProcessGroup, say: Say) -> Seq2Seq:
    """Build the model of a recipe, initialize and freeze its weights, and move it to the device of this process.

    Args:
        config: The recipe.
        data: The `data` folder of the run, which holds the initial checkpoint if the recipe has a [start].
        prepared: The prepared data.
        processes: The processes that train the model.
        say: Prints a line.

    Raises:
        TrainingError: There is not enough memory.
        ConfigError: train.freeze names no parameter, or all of them.
    """
    torch.manual_seed(config.train.seed)
    with raise_on_oom("for the model", fix="lower the sizes in [model], or tokenizer.vocabulary_size"):
        model = build_model(config.model, vocabulary_sizes(prepared.tokenizers))
    if config.start is not None:
        model.load_state_dict(load_checkpoint(data / STARTED).model.state_dict())
    for sentence in freeze(model, config.train.freeze):
        say(sentence)
    return model.to(processes.device(config.train.device))
