"""The levels of the kernels: which CPUs each is for, and how it is compiled.

Only the standard library is imported, because the build hook of the wheel reads this file, too.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass

FILES = ("attention.c", "float32.c", "int8.c", "layers.c", "search.c", "steps.c", "training.c")


@dataclass(frozen=True)
class Library:
    """A shared library and how it is compiled.

    Attributes:
        name: The name of the library.
        files: Source files in the folder of this module.
        flags: Compiler flags in addition to those of all libraries.
        optional: Flags that some compilers do not know.
    """

    name: str
    files: tuple[str, ...]
    flags: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Level:
    """How the kernels are compiled for a class of CPUs.

    Attributes:
        needs: The bit that cpu.c sets for a CPU that can run this level; 0: every CPU of the architecture can.
        features: The CPU features that the level needs, in words.
        flags: Compiler flags.
        optional: Flags that not all compilers know.
    """

    needs: int
    features: str
    flags: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def library(self, name: str) -> Library:
        """Return the library of this level, whose functions are called regard_NAME_..."""
        return Library(name, FILES, (f"-DLEVEL={name}", *self.flags), self.optional)


CPU = Library("cpu", ("cpu.c",))
"""Says which levels this CPU can run."""

X86 = {
    "v4": Level(
        2,
        "AVX-512 with VNNI",
        ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni", "-mavx2", "-mfma"),
        ("-mprefer-vector-width=512",),
    ),
    "v3vnni": Level(1 | 8, "AVX2, FMA and AVX-VNNI", ("-mavx2", "-mfma"), ("-mavxvnni",)),
    "v3": Level(1, "AVX2 and FMA", ("-mavx2", "-mfma")),
    "plain": Level(0, "any x86-64"),
}
ARM = {
    "dotprod": Level(4, "NEON with dot products", ("-march=armv8.2-a+dotprod",)),
    "neon": Level(0, "any arm64"),
}
_BY_MACHINE = {"x86_64": X86, "amd64": X86, "aarch64": ARM, "arm64": ARM}
LEVELS: dict[str, Level] = _BY_MACHINE.get(platform.machine().lower(), {"plain": Level(0, "any CPU")})
"""The levels of this machine's architecture, the best one first."""

SLOW = ("plain",)
"""Levels that are slower than PyTorch, and therefore used only if REGARD_KERNELS names them."""


def libraries() -> list[Library]:
    """Return the libraries that a wheel ships: all that regard may choose by itself."""
    return [CPU, *(level.library(name) for name, level in LEVELS.items() if name not in SLOW)]
