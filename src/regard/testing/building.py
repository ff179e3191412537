"""Laws of new models: their weights come from the seed, all of them are trained, and checkpoints keep them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from regard.checkpoints.untrusted_files import named_weights
from regard.contract import Seq2Seq, VocabularySizes
from regard.special_tokens import BOS
from regard.testing.assertions import TARGET, assert_close, require
from regard.testing.case import Case, vocabulary_sizes
from regard.testing.law import law
from regard.testing.sequences import SOURCE_VOCABULARY, SOURCES, TARGET_VOCABULARY, TARGETS

JOINT = VocabularySizes(source=SOURCE_VOCABULARY, target=SOURCE_VOCABULARY, joint=True)


def all_sizes(case: Case) -> list[VocabularySizes]:
    """Return the sizes of separate vocabularies, unless the model copies, and of a joint one."""
    return list(dict.fromkeys((vocabulary_sizes(case.config(), TARGET_VOCABULARY), JOINT)))


def build_new(case: Case, sizes: VocabularySizes, seed: int) -> Seq2Seq:
    """Return a new model in float32 and eval mode, without noise on its weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return case.spec.build(case.config(), sizes).eval()


@law(
    "a run cannot be repeated, and processes that train one model together start from different weights",
    any_weights=True,
)
def the_seed_determines_the_weights(case: Case) -> None:
    """Two models built with the same seed of PyTorch have the same weights, and with another seed other weights."""
    for sizes in all_sizes(case):
        first, second, reseeded = (named_weights(build_new(case, sizes, seed)) for seed in (1, 1, 2))
        require(bool(first), "the model has no weights")
        for name, weight in first.items():
            assert_close(second[name], weight, f"the weights {name} of two models of one seed", rtol=0, atol=0)
        is_same = all(reseeded[name].equal(weight) for name, weight in first.items())
        require(not is_same, "the weights of two models of different seeds are the same")


@law("a part of the model is never trained", any_weights=True)
def gradients_reach_every_parameter(case: Case) -> None:
    """The loss of a batch has a gradient for each parameter, and it is not zero everywhere."""
    model = case.build().train()
    logits = model(SOURCES, TARGETS)
    shifted = F.pad(TARGETS[:, 1:], (0, 1), value=BOS + 2)
    loss = F.cross_entropy(logits.flatten(0, 1), shifted.flatten())
    require(loss.requires_grad, "the loss has no gradient")
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, [*parameters.values()], allow_unused=True)
    for name, gradient in zip(parameters, gradients, strict=True):
        require(gradient is not None, f"the loss does not depend on the parameter {name}")
        require(gradient.isfinite().all().item() is True, f"the gradient of {name} is not finite")
        require(bool(gradient.any()), f"the gradient of {name} is zero everywhere")


@law("checkpoints do not load, or load another model than was saved", any_weights=True)
def checkpoints_keep_the_model(case: Case) -> None:
    """Settings survive JSON, shapes are known without weights, and loaded weights give the logits of the saved ones.

    Both separate vocabularies and one that is shared by source and target are checked.
    """
    config = case.config()
    values = json.loads(config.model_dump_json())
    require(case.spec.config(**values) == config, "the settings differ after they are written as JSON and read")
    for sizes in all_sizes(case):
        model = build_new(case, sizes, seed=1)
        shapes = named_weights(case.spec.build_on_meta(config, sizes))
        weights = named_weights(model)
        for name in {**weights, **shapes}:
            actual, expected = (tuple(part[name].shape) if name in part else "missing" for part in (shapes, weights))
            require(actual == expected, f"{name} is {actual} if built on the device `meta`, and {expected} otherwise")
        loaded = build_new(case, sizes, seed=2)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "model.safetensors")
            save_file({name: weight.detach().contiguous() for name, weight in weights.items()}, path)
            tensors = load_file(path)
        with torch.no_grad():
            for name, weight in named_weights(loaded).items():
                weight.copy_(tensors[name])
            names = "the logits before a checkpoint is saved and after it is loaded"
            assert_close(loaded(SOURCES, TARGETS), model(SOURCES, TARGETS), names, TARGET)
