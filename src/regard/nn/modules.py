"""PyTorch modules whose calls are typed: `Linear(...)(x)` is a `Tensor` to a type checker.

At run time the names are PyTorch's own classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

if TYPE_CHECKING:

    class Embedding(nn.Embedding):  # noqa: D101
        def __call__(self, input: Tensor) -> Tensor: ...  # noqa: D102

    class LayerNorm(nn.LayerNorm):  # noqa: D101
        def __call__(self, input: Tensor) -> Tensor: ...  # noqa: D102

    class Linear(nn.Linear):  # noqa: D101
        def __call__(self, input: Tensor) -> Tensor: ...  # noqa: D102

else:
    Embedding, LayerNorm, Linear = nn.Embedding, nn.LayerNorm, nn.Linear


class ModuleList(nn.ModuleList, Generic[M]):
    """A `torch.nn.ModuleList` that knows the type of its modules."""

    if TYPE_CHECKING:

        def __iter__(self) -> Iterator[M]: ...
