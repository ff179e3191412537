"""Pictures of attention, of translations at hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regard.errors import DataError
from regard.inference.translator import Translation
from regard.reports.compare.figures import LIGHT, maps, to_png
from regard.reports.compare.measure import attended
from regard.reports.compare.results import Attended


def draw_attention(panels: Sequence[tuple[str, Translation]], path: Path) -> None:
    """One map for each (title, translation), one above the other, as a PNG.

    Raises DataError where a translation has no attention.
    """
    found: list[tuple[str, Attended]] = []
    for title, translation in panels:
        weights = attended(translation)
        if weights is None:
            raise DataError(
                f"{title}: there is no attention to draw", fix="translate with_attention, by a model that attends"
            )
        found.append((title, weights))
    to_png(maps(found, LIGHT, most_columns=1), path)
