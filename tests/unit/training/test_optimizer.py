import math
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from regard.config.schema import TrainConfig
from regard.contract import Seq2Seq, VocabularySizes
from regard.data.batch import make_batch
from regard.models import bahdanau2014, transformer2017
from regard.training import optimizer
from regard.training.optimizer import Muon, Optimizers, orthogonalize
from regard.training.schedule import SchedulePoint, rate_factor
from regard.training.step import TrainStep

NAMES = ["adam", "adadelta", "muon", "sgd"]
SHAPES = [(6, 6), (4, 9), (9, 4), (4, 9)]


def transformer(*, joint: bool = True) -> Seq2Seq:
    torch.manual_seed(1)
    config = transformer2017.Config(hidden_size=8, ffn_size=12, num_heads=2, encoder_layers=1, decoder_layers=1)
    return transformer2017.build(config, VocabularySizes(9, 9, joint=joint))


def rnnsearch() -> Seq2Seq:
    torch.manual_seed(1)
    return bahdanau2014.build(
        bahdanau2014.Config(hidden_size=6, embedding_size=5, attention_size=4, maxout_size=3), VocabularySizes(9, 9)
    )


def settings(name: str, **more: float) -> TrainConfig:
    momentum = 0.5 if name == "sgd" else 0.0
    return TrainConfig.model_validate({"optimizer": name, "momentum": momentum, "learning_rate": 0.05, **more})


def give_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def spectrum(m: int, n: int, smallest: float) -> Tensor:
    """Return a random (m, n) matrix whose singular values fall evenly from 1 to `smallest`."""
    generator = torch.Generator().manual_seed(m * n)
    u, _, vh = torch.linalg.svd(torch.randn(m, n, generator=generator, dtype=torch.float64), full_matrices=False)
    values = torch.linspace(1, smallest, min(m, n), dtype=torch.float64)
    matrix: Tensor = u @ values.diag() @ vh
    return matrix


def reference_muon(weights: Tensor, gradients: list[Tensor], rate: float, decay: float) -> Tensor:
    """Return a matrix after steps of Jordan's Muon with Nesterov momentum 0.95, and the scale of Liu et al. 2025."""
    buffer = torch.zeros_like(weights)
    for gradient in gradients:
        buffer = 0.95 * buffer + gradient
        x = gradient + 0.95 * buffer
        tall = x.shape[0] > x.shape[1]
        x = (x.t() if tall else x) / x.norm()
        for _ in range(5):
            a = x @ x.t()
            x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
        x = x.t() if tall else x
        weights = weights - rate * decay * weights - rate * 0.2 * math.sqrt(max(weights.shape)) * x
    return weights


def muon_steps(make: Callable[[list[nn.Parameter]], torch.optim.Optimizer]) -> tuple[list[Tensor], list[list[Tensor]]]:
    """Return matrices after four steps of an optimizer, and the start and the gradients of each."""
    generator = torch.Generator().manual_seed(1)
    start = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]
    gradients = [[torch.randn(p.shape, generator=generator, dtype=torch.float64) for _ in range(4)] for p in start]
    parameters = [nn.Parameter(matrix.clone()) for matrix in start]
    stepped = make(parameters)
    for step in range(4):
        for parameter, own in zip(parameters, gradients, strict=True):
            parameter.grad = own[step].clone()
        stepped.step()
    return [parameter.detach() for parameter in parameters], [
        [first, *own] for first, own in zip(start, gradients, strict=True)
    ]


def test_muon_follows_its_algorithm() -> None:
    results, inputs = muon_steps(lambda parameters: Muon(parameters, 0.1, 0.3))
    for matrix, (start, *gradients) in zip(results, inputs, strict=True):
        torch.testing.assert_close(matrix, reference_muon(start, gradients, 0.1, 0.3), rtol=0, atol=1e-6)


def test_muon_agrees_with_pytorch_up_to_bfloat16() -> None:
    ours, inputs = muon_steps(lambda parameters: Muon(parameters, 0.1, 0.3))
    theirs, _ = muon_steps(
        lambda parameters: torch.optim.Muon(
            parameters, lr=0.1, weight_decay=0.3, momentum=0.95, adjust_lr_fn="match_rms_adamw"
        )
    )
    for mine, expected, (start, *_) in zip(ours, theirs, inputs, strict=True):
        moved = (expected - start).norm()
        assert (mine - expected).norm() < 0.02 * moved


def test_muon_does_not_change_parameters_without_a_gradient() -> None:
    with_gradient, without = nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(2, 3))
    with_gradient.grad = torch.ones(2, 3)
    Muon([with_gradient, without], 0.1, 0.1).step()
    assert torch.equal(without, torch.ones(2, 3))
    assert not torch.equal(with_gradient, torch.ones(2, 3))


@pytest.mark.parametrize("shape", [(8, 8), (5, 12), (12, 5)])
def test_orthogonalizing_keeps_singular_vectors_and_evens_out_the_values(shape: tuple[int, int]) -> None:
    matrix = spectrum(*shape, smallest=0.05)
    out = orthogonalize(matrix[None])[0]
    u, _, vh = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.t() @ out @ vh.t()
    values = turned.diagonal()
    torch.testing.assert_close(turned, values.diag(), rtol=0, atol=1e-8)
    assert values.min() > 0.65
    assert values.max() < 1.25


def test_orthogonalizing_a_batch() -> None:
    batch = torch.stack([spectrum(4, 6, 0.1), 1e-4 * spectrum(4, 6, 0.5)])
    torch.testing.assert_close(orthogonalize(batch)[1], orthogonalize(batch[1:])[0])


def test_a_gradient_of_zeros_stays_zero() -> None:
    assert orthogonalize(torch.zeros(1, 3, 4)).eq(0).all()


@pytest.mark.parametrize("model", [transformer(), transformer(joint=False), rnnsearch()], ids=["joint", "apart", "rnn"])
def test_muon_trains_every_hidden_matrix(model: Seq2Seq) -> None:
    adam, muon = Optimizers(model, settings("muon")).parts
    taken = [{id(p) for group in part.param_groups for p in group["params"]} for part in (adam, muon)]
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    assert isinstance(muon, Muon)
    assert tables
    ends = {"decoder.output.weight", "decoder.score.score.weight"}  # RNNsearch's output layer, and a single row
    ends_too = {id(p) for name, p in model.named_parameters() if name in ends}
    assert taken[1] == {id(p) for p in model.parameters() if p.ndim == 2} - tables - ends_too
    assert not taken[0] & taken[1]
    assert taken[0] | taken[1] == {id(p) for p in model.parameters()}


def coincident() -> Seq2Seq:
    """A Transformer whose feed-forward layers and embeddings are as wide as the vocabulary is large."""
    torch.manual_seed(1)
    config = transformer2017.Config(hidden_size=12, ffn_size=12, num_heads=2, encoder_layers=1, decoder_layers=1)
    return transformer2017.build(config, VocabularySizes(12, 12, joint=True))


def test_muon_trains_matrices_with_as_many_rows_as_the_vocabulary() -> None:
    _, muon = Optimizers(coincident(), settings("muon")).parts
    _, expected = Optimizers(transformer(), settings("muon")).parts
    counts = [sum(len(group["params"]) for group in part.param_groups) for part in (muon, expected)]
    assert counts[0] == counts[1] == 13


def test_a_state_of_regard_0_1_is_resumed_with_the_matrices_of_regard_0_1(monkeypatch: pytest.MonkeyPatch) -> None:
    model, copied = coincident(), coincident()
    with monkeypatch.context() as before:
        hidden = optimizer._hidden_matrices
        before.setattr(optimizer, "_hidden_matrices", lambda of: [p for p in hidden(of) if len(p) != 12])
        old = Optimizers(model, settings("muon"))
    give_gradients(model, 1)
    old.step(1.0)
    saved = {key: tensor.clone() for key, tensor in old.state_dict().items()}
    copied.load_state_dict(model.state_dict())
    resumed = Optimizers(copied, settings("muon"))
    resumed.load_state_dict(saved)
    for changed, stepped in ((model, old), (copied, resumed)):
        give_gradients(changed, 2)
        stepped.step(1.0)
    for (key, ours), theirs in zip(model.named_parameters(), copied.parameters(), strict=True):
        assert torch.equal(ours, theirs), key
    assert old.state_dict().keys() == resumed.state_dict().keys()


def test_the_constants_are_those_of_the_papers() -> None:
    (adam,) = Optimizers(transformer(), settings("adam", weight_decay=0.1)).parts
    (adadelta,) = Optimizers(transformer(), settings("adadelta")).parts
    assert isinstance(adam, torch.optim.AdamW)
    assert (adam.defaults["betas"], adam.defaults["eps"], adam.defaults["weight_decay"]) == ((0.9, 0.98), 1e-9, 0.1)
    assert isinstance(adadelta, torch.optim.Adadelta)
    assert (adadelta.defaults["rho"], adadelta.defaults["eps"]) == (0.95, 1e-6)


def test_the_constants_of_adam_can_be_chosen() -> None:
    config = TrainConfig(optimizer="adam", adam_beta1=0.8, adam_beta2=0.9, adam_epsilon=1e-6)
    (adam,) = Optimizers(transformer(), config).parts
    assert (adam.defaults["betas"], adam.defaults["eps"]) == ((0.8, 0.9), 1e-6)


def test_nesterov_momentum_is_that_of_the_code_of_gehring_et_al() -> None:
    """Their update: w += m^2 v - (1 + m) rate g, then v = m v - rate g (Bengio et al. 2012, 1212.0901)."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    expected, velocity = weight.detach().clone(), torch.zeros(2, dtype=torch.float64)
    model = nn.Module()
    model.weight = weight
    config = TrainConfig(optimizer="sgd", momentum=0.99, nesterov=True, learning_rate=0.25)
    optimizers = Optimizers(model, config)  # type: ignore[arg-type]
    for step in range(5):
        gradient = torch.tensor([0.1 * step + 0.3, 0.2 - 0.05 * step], dtype=torch.float64)
        weight.grad = gradient.clone()
        optimizers.step(1.0)
        expected += 0.99**2 * velocity - 1.99 * 0.25 * gradient
        velocity = 0.99 * velocity - 0.25 * gradient
        torch.testing.assert_close(weight.detach(), expected)


@pytest.mark.parametrize("name", ["sgd", "adadelta"])
def test_weight_decay_is_decoupled(name: str) -> None:
    moved = []
    for decay in (0.0, 0.1):
        model = transformer()
        give_gradients(model, 1)
        before = torch.cat([p.detach().flatten() for p in model.parameters()])
        Optimizers(model, settings(name, weight_decay=decay)).step(0.5)
        moved.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    torch.testing.assert_close(moved[1], moved[0] - 0.1 * 0.5 * 0.05 * before)


def test_rnnsearch_learns_with_adadelta() -> None:
    torch.manual_seed(1)
    sizes = bahdanau2014.Config(hidden_size=24, embedding_size=16, attention_size=16, maxout_size=16, dropout=0.0)
    model = bahdanau2014.build(sizes, VocabularySizes(14, 14))
    config = TrainConfig(optimizer="adadelta", label_smoothing=0.0)
    train_step, dice, losses = TrainStep(model, config), random.Random(1), []
    for step in range(1, 251):
        sources = [dice.choices(range(4, 14), k=dice.randint(1, 5)) for _ in range(24)]
        batch = make_batch([(source, source[::-1]) for source in sources])
        losses.append(train_step.run([batch], rate_factor(config, SchedulePoint(step))).loss)
    assert losses[0] == pytest.approx(math.log(14), abs=0.01)
    assert sum(losses[-20:]) / 20 < losses[0] - 0.2


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_proportional_to_its_factor(name: str) -> None:
    moved = []
    for factor in (1.0, 0.5, 0.0):
        model = transformer()
        before = [parameter.detach().clone() for parameter in model.parameters()]
        give_gradients(model, 1)
        Optimizers(model, settings(name)).step(factor)
        moved.append(torch.cat([(p.detach() - b).flatten() for p, b in zip(model.parameters(), before, strict=True)]))
    torch.testing.assert_close(moved[0], 2 * moved[1], rtol=1e-3, atol=1e-6)
    assert moved[0].any()
    assert not moved[2].any()


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_state_continues_bit_for_bit(name: str) -> None:
    model = transformer()
    optimizers = Optimizers(model, settings(name))
    for step in range(3):
        give_gradients(model, step)
        optimizers.step(1.0)
    saved = {key: tensor.clone() for key, tensor in optimizers.state_dict().items()}
    copied = transformer()
    copied.load_state_dict(model.state_dict())
    resumed = Optimizers(copied, settings(name))
    resumed.load_state_dict(saved)
    for step in range(3, 6):
        for changed, stepped in ((model, optimizers), (copied, resumed)):
            give_gradients(changed, step)
            stepped.step(0.7)
    for (key, ours), theirs in zip(model.named_parameters(), copied.parameters(), strict=True):
        assert torch.equal(ours, theirs), key
    assert optimizers.state_dict().keys() == resumed.state_dict().keys() == saved.keys()


@pytest.mark.parametrize("name", NAMES)
def test_loading_copies_the_state(name: str) -> None:
    model = transformer()
    optimizers = Optimizers(model, settings(name))
    give_gradients(model, 1)
    optimizers.step(1.0)
    saved = {key: tensor.clone() for key, tensor in optimizers.state_dict().items()}
    untouched = {key: tensor.clone() for key, tensor in saved.items()}
    ends = []
    for state in (saved, {}):
        copied = transformer()
        resumed = Optimizers(copied, settings(name))
        resumed.load_state_dict(state)
        give_gradients(copied, 2)
        resumed.step(1.0)
        ends.append(torch.cat([parameter.detach().flatten() for parameter in copied.parameters()]))
    assert not torch.equal(*ends)
    assert all(torch.equal(saved[key], untouched[key]) for key in saved)
