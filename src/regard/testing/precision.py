"""Laws in float32, with and without the native kernels: every way to compute a target agrees with float64.

Sources and targets are long enough to fill the blocks of the kernels, the spare positions of a KV cache and dilated
convolutions. The kernels support head widths that are multiples of 16; PyTorch computes the others. float64 never uses
the kernels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.contract import DecoderOutput, Seq2Seq
from regard.data.batch import Batch, make_batch
from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.length_penalty import gnmt
from regard.decoding.scoring import score_targets
from regard.nn.inference import freeze_for_inference
from regard.special_tokens import BOS, EOS, PAD
from regard.testing.assertions import (
    ATTENTION,
    TARGET,
    assert_close,
    assert_distribution,
    assert_number,
    require,
    require_lively,
    widen_features,
)
from regard.testing.case import Case
from regard.testing.law import law
from regard.testing.sequences import SOURCE_VOCABULARY, as_batch
from regard.training.loss import ModelWithLoss

VOCABULARY = 23  # target tokens
STEPS = 52  # more steps than ByteNet has columns for these sources


def random_tokens(lengths: Sequence[int], vocabulary: int, seed: int) -> list[list[int]]:
    """Return a sequence of ordinary tokens for each length."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(EOS + 1, vocabulary, (length,), generator=generator).tolist() for length in lengths]


TARGETS = as_batch([[BOS, *target] for target in random_tokens([STEPS - 1] * 4, VOCABULARY, seed=6)])
BATCH: Batch = make_batch(
    list(
        zip(
            random_tokens([18, 43, 0, 40], SOURCE_VOCABULARY, seed=5),
            random_tokens([40, 3, 0, 29], VOCABULARY, seed=6),
            strict=True,
        )
    )
)
SOURCES = BATCH.source


@dataclass(frozen=True)
class Pair:
    """The same weights in both precisions, with the float64 results for TARGETS and for training on BATCH."""

    single: Seq2Seq
    double: Seq2Seq
    expected: DecoderOutput
    loss: Tensor
    gradients: tuple[Tensor, ...]
    tolerance: float

    def assert_near(self, actual: Tensor, expected: Tensor, names: str, axes: Sequence[str] = TARGET) -> None:
        """Assert that float32 values differ little from float64 values, relative to the largest of these."""
        require(actual.dtype == torch.float32, f"{names} have dtype {actual.dtype} in float32")
        atol = self.tolerance * expected.abs().max().item()
        assert_close(actual.double(), expected, f"{names} in float32 and in float64", axes, rtol=0, atol=atol)

    def assert_attention(self, attention: Tensor | None, names: str) -> None:
        """Assert that attention in float32 is a distribution over real positions, and near that in float64."""
        if attention is None or self.expected.attention is None:
            assert_close(attention, self.expected.attention, f"{names} in float32 and in float64")
            return
        self.assert_near(attention, self.expected.attention, names, ATTENTION)
        is_real = SOURCES.ne(PAD)[:, None].expand_as(attention)
        assert_distribution(attention, is_real, names, ATTENTION, atol=1e-6)


@cache
@torch.inference_mode(False)
@torch.enable_grad()
def pair(case: Case) -> Pair:
    """Return the models of a case with float64 results; the same object for the same case."""
    single, double = (case.build(VOCABULARY).float() for _ in range(2))
    double = double.double()  # the weights stay rounded to float32
    with torch.no_grad():
        expected = double.features(SOURCES, TARGETS, with_attention=True)
    is_real = BATCH.target_out.ne(PAD)
    logits = double(BATCH.source, BATCH.target_in)
    loss = F.cross_entropy(logits[is_real], BATCH.target_out[is_real], reduction="sum", label_smoothing=0.1)
    gradients = torch.autograd.grad(loss, [*double.parameters()], allow_unused=True, materialize_grads=True)
    return Pair(single, double, expected, loss.detach(), gradients, case.tolerance)


def sensitivity(case: Case) -> float:
    """Return how much rounding the weights to float32 changes the features in float64, relative to the largest.

    Rounding errors inside a model have effects of the same size. In deep networks with sharp attention they are large.
    """
    models, changes = pair(case), []
    for seed in range(3):
        rounded, generator = copy.deepcopy(models.double), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in rounded.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
                parameter.mul_(1 + torch.finfo(torch.float32).eps * noise)
            change = rounded.features(SOURCES, TARGETS).features - models.expected.features
        changes.append(float(change.abs().max() / models.expected.features.abs().max()))
    return max(changes)


@law("a model that computes the same everywhere passes every law in float32")
def long_outputs_depend_on_source_and_prefix(case: Case) -> None:
    """The features of long targets differ between sources and between last tokens."""
    models = pair(case)
    features = models.expected.features
    other_tokens = TARGETS.where(TARGETS.eq(BOS), VOCABULARY + EOS - TARGETS)
    with torch.no_grad():
        by_source = (models.double.features(SOURCES.roll(1, 0), TARGETS).features - features).abs().amax(-1)  # (B, T)
        by_token = (models.double.features(SOURCES, other_tokens).features - features).abs().amax(-1)
    noticeable = 500 * case.tolerance * float(features.abs().max())
    smallest = float(by_token[:, 1:].min())
    require_lively(smallest > noticeable, f"features vary by only {smallest:.3g} with the last token")
    smallest = float(by_source.amax(1).min())  # at some position: without attention, a long target forgets its source
    require_lively(smallest > noticeable, f"features vary by only {smallest:.3g} with the source: is it read?", 1)


@law("a sentence gets another translation in another batch, or training and evaluation disagree", float32=True)
def a_batch_in_float32_agrees_with_float64(case: Case) -> None:
    """A sentence alone and in a batch, with gradients and without, has the features that it has in float64."""
    models = pair(case)
    for training in (False, True):
        mode = "with gradients" if training else "without gradients"
        with torch.set_grad_enabled(training):
            together = models.single.features(SOURCES, TARGETS).features
            models.assert_near(together, models.expected.features, f"the features of a batch {mode}")
            for row in (1, 2):  # the longest and the shortest
                source, target = SOURCES[row], TARGETS[row]
                alone = models.single.features(source[source.ne(PAD)][None], target[None]).features
                names = f"the features of sentence {row} alone {mode}"
                models.assert_near(
                    widen_features(alone[0], together[row]), models.expected.features[row], names, TARGET[1:]
                )
        require(together.requires_grad == training, f"the features {mode} have requires_grad={together.requires_grad}")


@law("attention maps are wrong, or asking for attention changes translations", float32=True)
@torch.inference_mode()
def attention_in_float32_agrees_with_float64(case: Case) -> None:
    """With attention, features and attention are those in float64."""
    models = pair(case)
    output = models.single.features(SOURCES, TARGETS, with_attention=True)
    models.assert_near(output.features, models.expected.features, "the features with attention")
    models.assert_attention(output.attention, "attention")


@law("search computes something else than training: see steps_agree_with_teacher_forcing", float32=True)
@torch.inference_mode()
def steps_in_float32_agree_with_teacher_forcing(case: Case) -> None:
    """advance() in float32 computes the features and the attention of forward() in float64."""
    models = pair(case)
    decoder = models.single.decoder
    state = decoder.init_state(models.single.encode(SOURCES))
    features: list[Tensor] = []
    attention: list[Tensor] = []
    for tokens in TARGETS.unbind(1):
        advanced = decoder.advance(tokens, state, with_attention=True)
        state = advanced.state
        features.append(advanced.features)
        if advanced.attention is not None:
            attention.append(advanced.attention)
    models.assert_near(torch.stack(features, 1), models.expected.features, "the features of advance() and forward()")
    models.assert_attention(torch.stack(attention, 1) if attention else None, "the attentions of advance()")


@law("hypotheses of a beam continue from wrong states: see rows_of_a_beam_agree_with_separate_sentences", float32=True)
@torch.inference_mode()
def a_beam_in_float32_agrees_with_teacher_forcing(case: Case) -> None:
    """The rows of a beam that forks and shrinks have the features of forward() in float64.

    The three rows of each sentence fork or swap at every third step; halfway, a sentence is dropped.
    """
    models = pair(case)
    decoder, generator = models.single.decoder, torch.Generator().manual_seed(7)
    first = decoder.advance(TARGETS[:, 0], decoder.init_state(models.single.encode(SOURCES)))
    sentences, rows = torch.arange(4), torch.arange(4).repeat_interleave(3)
    state, tokens, features = first.state.select(rows), TARGETS[rows, :1], first.features[rows, None]
    for step in range(1, STEPS):
        chosen = torch.randint(EOS + 1, VOCABULARY, (len(rows),), generator=generator)
        advanced = decoder.advance(chosen, state)
        tokens, features = torch.cat((tokens, chosen[:, None]), 1), torch.cat((features, advanced.features[:, None]), 1)
        state = advanced.state
        if step % 3 == 0:
            remaining = torch.tensor([2, 0, 3]) if step == 24 else torch.arange(len(sentences))
            rows = (3 * remaining[:, None] + torch.randint(3, (len(remaining), 3), generator=generator)).flatten()
            state = state.select(rows, remaining if len(remaining) < len(sentences) else None)
            tokens, features, sentences = tokens[rows], features[rows], sentences[remaining]
    expected = models.double.features(SOURCES[sentences.repeat_interleave(3)], tokens).features
    models.assert_near(features, expected, "the features of a beam's steps and of forward()")


@law("search ranks hypotheses by numbers that are not their probabilities", float32=True)
@torch.inference_mode()
def log_probabilities_in_float32_agree_with_float64(case: Case) -> None:
    """The hypotheses of beam search have the log-probabilities of teacher forcing in float64."""
    models = pair(case)
    model = freeze_for_inference(models.single)
    beams = beam_search(
        model.decoder, model.encode(SOURCES), [33, 9, 20, 26], BeamSettings(beam_size=5, penalty=gnmt(0.6), top_beams=5)
    )
    hypotheses = [(row, hypothesis) for row, beam in enumerate(beams) for hypothesis in beam]
    longest = max(len(hypothesis.tokens) for _, hypothesis in hypotheses)
    require_lively(longest > 8, f"the longest hypothesis has {longest} tokens")
    expected = score_targets(
        models.double,
        SOURCES[[row for row, _ in hypotheses]],
        as_batch([[BOS, *hypothesis.tokens] for _, hypothesis in hypotheses]),
        as_batch([[*hypothesis.tokens, EOS if hypothesis.finished else PAD] for _, hypothesis in hypotheses]),
    )
    actual = torch.tensor([hypothesis.log_probability for _, hypothesis in hypotheses])
    models.assert_near(actual, expected, "the log-probabilities of beam search and of teacher forcing", ("hypothesis",))


@law("training follows a wrong gradient: the loss falls slowly or not at all", float32=True)
def loss_and_gradients_in_float32_agree_with_float64(case: Case) -> None:
    """The loss and its gradients in training are those of the padded batch in float64, whatever the padding."""
    models = pair(case)
    largest = max(gradient.abs().max().item() for gradient in models.gradients)
    for padding in (0, 5):
        batch = (F.pad(tokens, (0, padding)) for tokens in (BATCH.source, BATCH.target_in, BATCH.target_out))
        loss = ModelWithLoss(models.single, 0.1)(*batch)
        where = f"in float32, with {padding} more columns of padding, and in float64"
        assert_number(loss.item(), models.loss.item(), f"the losses {where}")
        parameters = [*models.single.parameters()]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        names = [name for name, _ in models.single.named_parameters()]
        for name, actual, expected in zip(names, gradients, models.gradients, strict=True):
            scale = max(expected.abs().max().item(), 1e-3 * largest)  # some gradients are 0, e.g. those of key biases
            atol = 4 * models.tolerance * scale
            assert_close(actual.double(), expected, f"the gradients of {name} {where}", rtol=0, atol=atol)
