"""What a law is: a function of a case, with a message that explains the failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from regard.nn.kernels import native
from regard.testing.assertions import InconclusiveError
from regard.testing.case import Case

Check = Callable[[Case], None]


@dataclass(frozen=True, eq=False)
class Law:
    """A property that every architecture has. Call it with a `Case` to check it.

    Attributes:
        name: Its name, such as "decoding_is_causal".
        statement: The property, in a sentence.
        consequence: What fails in training or translation if an architecture does not have it.
        check: Raises AssertionError if a case does not have the property.
        float32: Whether it is checked in float32, once with the native kernels, if available, and once without.
        any_weights: Whether it can be checked with weights whose predictions are vague.
    """

    name: str
    statement: str
    consequence: str
    check: Check
    float32: bool = False
    any_weights: bool = False

    def __call__(self, case: Case) -> None:
        """Check the law for a case.

        Raises:
            AssertionError: The case breaks the law. The message has the law, the position and size of the difference,
                and what it means.
            InconclusiveError: A subclass: the weights of the case cannot show whether the law holds.
        """
        modes = [""]
        if self.float32:
            modes = [", with the native kernels"] if native.library() is not None else []
            modes.append(", with REGARD_KERNELS=0")
        for mode in modes:
            try:
                if mode.endswith("=0"):
                    with without_kernels():
                        self.check(case)
                else:
                    self.check(case)
            except InconclusiveError as error:
                raise InconclusiveError(self._message(case, mode, str(error)), error.passed) from None
            except AssertionError as error:
                raise AssertionError(self._message(case, mode, str(error))) from None
            except Exception as error:
                error.add_note(self._message(case, mode, "the model raised the error above"))
                raise

    def _message(self, case: Case, mode: str, problem: str) -> str:
        return (
            f"{case.name} breaks the law {self.name}{mode}\n"
            f"  law: {self.statement}\n"
            f"  problem: {problem}\n"
            f"  means: {self.consequence}\n"
            f"  case: {case.description}"
        )

    def __str__(self) -> str:
        return self.name


def law(consequence: str, *, float32: bool = False, any_weights: bool = False) -> Callable[[Check], Law]:
    """Turn a function of a case into a `Law`; its name and the first paragraph of its docstring become the law's.

    Args:
        consequence: What fails in training or translation if an architecture does not have the property.
        float32: Whether to check it in float32, with and without the native kernels.
        any_weights: Whether it can be checked with weights whose predictions are vague.
    """

    def decorate(check: Check) -> Law:
        statement = " ".join((check.__doc__ or "").partition("\n\n")[0].split())
        return Law(check.__name__, statement, consequence, check, float32, any_weights)

    return decorate


@contextmanager
def without_kernels() -> Iterator[None]:
    """Let PyTorch compute everything inside the context, as with REGARD_KERNELS=0."""
    with mock.patch.object(native, "library", lambda: None):
        yield
