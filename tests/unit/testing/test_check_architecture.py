"""`check_architecture`: it chooses weights that can show the laws, and reports every law that is broken."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.unit.testing.test_broken_architectures import (
    Decoder,
    IgnoresTheSource,
    SeesTheFuture,
    StepsDiffer,
    WrongInFloat32,
    negated,
)
from tests.unit.testing.tiny_architecture import Config, TinyDecoder, TinyEncoder, architecture

from regard import testing
from regard.contract import StepFeatures
from regard.models import ARCHITECTURES, Architecture, bahdanau2014
from regard.nn import int8
from regard.nn.attention import DotScore
from regard.testing import LAWS, Case, InconclusiveError, Law, check_architecture, inference
from regard.testing.architecture import _smallest_sizes
from regard.testing.inference import int8_is_close_and_leaves_the_model_unchanged
from regard.testing.precision import (
    a_batch_in_float32_agrees_with_float64,
    sensitivity,
    steps_in_float32_agree_with_teacher_forcing,
)
from regard.testing.sources import attention_is_a_distribution
from regard.testing.stepping import decoding_is_causal, steps_agree_with_teacher_forcing


def test_an_architecture_that_obeys_all_laws_passes() -> None:
    check_architecture(architecture())
    check_architecture(architecture(), Config(hidden_size=6, dropout=0.3), laws=[decoding_is_causal])


def test_an_architecture_of_regard_passes_by_its_name() -> None:
    config = bahdanau2014.Config(hidden_size=12, embedding_size=10, attention_size=8, maxout_size=7)
    laws = [decoding_is_causal, steps_agree_with_teacher_forcing, steps_in_float32_agree_with_teacher_forcing]
    check_architecture("bahdanau2014", config, laws=laws)


def test_without_settings_a_preset_is_checked_with_few_layers() -> None:
    sizes = _smallest_sizes(ARCHITECTURES["modern"])
    assert (sizes["encoder_layers"], sizes["decoder_layers"], sizes["hidden_size"]) == (2, 2, 128)


def message(broken: Architecture, *laws: Law) -> str:
    with pytest.raises(AssertionError) as error:
        check_architecture(broken, laws=laws or LAWS)
    return str(error.value)


def test_the_message_says_which_law_is_broken_where_and_what_that_means() -> None:
    text = message(architecture(decoder=StepsDiffer), steps_agree_with_teacher_forcing)
    assert text.startswith("tiny breaks the law steps_agree_with_teacher_forcing\n")
    assert "  law: advance() computes, token by token," in text
    assert "  problem: the features of advance() and of forward() at target position 0 differ at row " in text
    assert "the largest difference is 0.001)" in text
    assert "  means: training uses forward() and search uses advance(): translations come from another model" in text
    assert "  case: Case('tiny', dict(hidden_size=8, dropout=0.0), noise=" in text


def test_all_broken_laws_are_reported() -> None:
    laws = steps_agree_with_teacher_forcing, attention_is_a_distribution, decoding_is_causal
    text = message(architecture(decoder=SeesTheFuture), *laws)
    assert text.startswith("tiny breaks steps_agree_with_teacher_forcing, decoding_is_causal\n\n")
    assert "target token 1" in text


def test_without_confident_predictions_laws_are_not_checked() -> None:
    text = message(architecture(IgnoresTheSource), decoding_is_causal, steps_agree_with_teacher_forcing)
    assert text.startswith("tiny breaks outputs_depend_on_source_and_prefix; 2 of 2 laws could not be checked")
    assert "between sources: is the source read?" in text


class RaisesAnError(TinyDecoder):
    def init_state(self, memory: object) -> object:
        raise RuntimeError("shapes cannot be multiplied")


def test_an_error_in_the_model_is_raised_with_the_law_as_a_note() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied") as error:
        steps_agree_with_teacher_forcing(Case(architecture(decoder=RaisesAnError)))
    assert "tiny breaks the law steps_agree_with_teacher_forcing" in error.value.__notes__[0]


class SharpAttention(TinyDecoder):
    """Rounding errors move attention from one word to another."""

    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size)
        self.score = DotScore(20.0)


class SharpAttentionAndWrongInFloat32(WrongInFloat32, SharpAttention):
    """Features are off by more than rounding errors."""

    def change(self, step: StepFeatures[Any], tokens: torch.Tensor) -> StepFeatures[Any]:
        return replace(step, features=step.features * (1.002 if step.features.dtype == torch.float32 else 1.0))


def test_errors_in_float32_may_be_as_large_as_rounding_explains() -> None:
    laws = [a_batch_in_float32_agrees_with_float64, steps_in_float32_agree_with_teacher_forcing]
    right, sharp = architecture(), architecture(decoder=SharpAttention)
    cases = [Case(spec, noise=0.3, embedding_noise=0.1, seed=1) for spec in (right, sharp)]
    assert sensitivity(cases[1]) > 10 * sensitivity(cases[0])
    with pytest.raises(AssertionError):
        laws[0](replace(cases[0], tolerance=1e-9))
    for spec in (right, sharp):
        check_architecture(spec, laws=laws, tolerance=1e-9)
    for decoder in (WrongInFloat32, SharpAttentionAndWrongInFloat32):
        text = message(architecture(decoder=decoder), *laws)
        assert text.startswith("tiny breaks a_batch_in_float32_agrees_with_float64, steps_in_float32_agree_with_")


class Chaotic(Decoder):
    """Small differences between features become large."""

    def change(self, step: StepFeatures[Any], tokens: torch.Tensor) -> StepFeatures[Any]:
        features = step.features.sigmoid()
        for _ in range(10):
            features = 4 * features * (1 - features)
        return replace(step, features=features)


@pytest.mark.skipif(not int8.available(), reason="products in 8 bits are not available")
def test_rounding_to_8_bits_is_inconclusive_where_as_much_noise_has_that_effect(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    law = int8_is_close_and_leaves_the_model_unchanged
    with pytest.raises(InconclusiveError, match="but the model is as sensitive to noise in float32"):
        law(Case(architecture(decoder=Chaotic), seed=1))
    freeze = inference.freeze_in_8_bits
    monkeypatch.setattr(inference, "freeze_in_8_bits", lambda model: negated(freeze(model)))
    assert "breaks the law int8_is_close" in message(architecture(), law)
    assert "as sensitive" not in message(architecture(), law)


class Convolution(TinyEncoder):
    def __init__(self, config: Config, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size)
        self.convolution = torch.nn.Conv1d(config.hidden_size, 200, 5)


def test_the_noise_on_a_convolution_depends_on_all_its_inputs() -> None:
    weight = Case(architecture(Convolution), noise=1.0).build().get_parameter("encoder.convolution.weight").detach()
    noise = 40**-0.5  # 8 channels at 5 positions, each with a standard deviation of 40 ** -0.5
    assert noise < float(weight.std()) < 1.4 * noise  # PyTorch's own weights add a third of that variance


def test_no_test_framework_is_needed() -> None:
    for path in Path(testing.__path__[0]).glob("*.py"):
        assert not re.search(r"^(import|from) (pytest|hypothesis)", path.read_text(encoding="utf-8"), re.M), path
