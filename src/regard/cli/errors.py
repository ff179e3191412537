"""How commands end when something goes wrong: a message in a line or two, and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from signal import Signals
from typing import Any, NoReturn

from rich.console import Console
from typer.core import TyperCommand

from regard.cli.address_space import address_space_limit, require_address_space
from regard.errors import PeerFailed, RegardError

OUT_OF_MEMORY = str(
    RegardError(
        "out of memory",
        fix="free some, or lower --batch-size, --beam-size or --workers; "
        "in training tokenizer.vocabulary_size, train.tokens_per_batch or the sizes in [model]",
    )
)
NOT_MAPPED = ("failed to map segment", "cannot allocate memory", "cannot map zero-fill pages")  # what dlopen says


class TorchCommand(TyperCommand):
    """A command that imports PyTorch: it first checks that there is enough address space."""

    def invoke(self, ctx: Any) -> Any:
        """See Command.invoke. Raises RegardError."""
        require_address_space()
        return super().invoke(ctx)


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Print an error of the input or of the machine as a message, and exit with status 1; 130 after Ctrl-C."""
    try:
        yield
    except PeerFailed:
        sys.exit(1)
    except RegardError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # of a full disk or a folder that cannot be written to, where nothing better is known
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    except (MemoryError, ImportError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        _fail(_out_of_memory())


def report_stop(number: Signals) -> None:
    """Print which signal ended the command."""
    with suppress(OSError):  # after SIGHUP the terminal is gone
        Console(stderr=True).print(f"stopped by {number.name}", highlight=False, markup=False)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, ImportError):
        return any(text in str(error) for text in NOT_MAPPED)
    from regard.training.microbatches import is_out_of_memory

    return is_out_of_memory(error)


def _out_of_memory() -> str:
    limit = address_space_limit()
    if limit is None:
        return OUT_OF_MEMORY
    return f"{OUT_OF_MEMORY}; or raise the limit on address space (`ulimit -v`), which is {limit // 10**6:,} MB"


def _fail(message: str) -> NoReturn:
    try:
        with suppress(OSError):  # the terminal may be gone
            console = Console(stderr=True)
            console.print(f"error: {message}", style="bold red", highlight=False, markup=False, soft_wrap=True)
    except MemoryError:  # while it was laid out
        with suppress(OSError):
            os.write(2, f"error: {message}\n".encode())
    sys.exit(1)
