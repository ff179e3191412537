"""The suffixes of files with both sides; separate from the readers, so that `--help` does not load them."""

from typing import Final

from regard.plugins.names import BUILT_IN

BILINGUAL_SUFFIXES: Final = BUILT_IN["formats"]
