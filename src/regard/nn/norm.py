"""A residual connection and the normalisation behind it."""

from torch import Tensor, nn

from regard.nn import native


def add_norm(x: Tensor, y: Tensor, norm: nn.LayerNorm) -> Tensor:
    """norm(x + y), (..., D) each (Vaswani et al. 2017, section 3.1: "LayerNorm(x + Sublayer(x))")."""
    if x.size(-1) % native.LANES == 0 and native.suits(x):
        return native.add_norm(x, y, norm)
    normal: Tensor = norm(x + y)
    return normal
