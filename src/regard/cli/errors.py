"""How commands end after an error: a message of one or two lines, and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from signal import Signals
from typing import NoReturn

from regard.cli.address_space import address_space_limit
from regard.console import say
from regard.errors import PeerFailed, RegardError

OUT_OF_MEMORY = str(
    RegardError(
        "out of memory",
        fix="free some memory, or lower --batch-size, --beam-size or --workers; "
        "in training tokenizer.vocabulary_size, train.tokens_per_batch or the sizes in [model]",
    )
)
MAPPING_ERRORS = ("failed to map segment", "cannot allocate memory", "cannot map zero-fill pages")  # of dlopen


@contextmanager
def errors_as_messages() -> Iterator[None]:
    """Print an error of the input or of the machine as a message, and exit with status 1; with 130 after Ctrl-C."""
    try:
        yield
    except PeerFailed:  # another process has printed the error
        sys.exit(1)
    except RegardError as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:  # such as a full disk, if no better message is known
        _fail(f"{error.filename or 'a file'}: {error.strerror or error}")
    except (MemoryError, ImportError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        _fail(_out_of_memory())


def report_stop(number: Signals) -> None:
    """Print which signal ended the command."""
    with suppress(OSError):  # after SIGHUP there is no terminal
        say(f"stopped by {number.name}")


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, ImportError):
        return any(text in str(error) for text in MAPPING_ERRORS)
    from regard.training.microbatches import is_out_of_memory

    return is_out_of_memory(error)


def _out_of_memory() -> str:
    limit = address_space_limit()
    if limit is None:
        return OUT_OF_MEMORY
    return f"{OUT_OF_MEMORY}; or raise the limit on address space (`ulimit -v`), which is {limit // 10**6:,} MB"


def _fail(message: str) -> NoReturn:
    try:
        with suppress(OSError):  # there may be no terminal
            say(f"error: {message}", style="bold red")
    except MemoryError:  # rich needs more memory than there is
        with suppress(OSError):
            os.write(2, f"error: {message}\n".encode())
    sys.exit(1)
