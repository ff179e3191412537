"""Minimum Bayes risk selection among the translations of a text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from regard.config.schema import SearchConfig
from regard.evaluation.mbr import mbr_select
from regard.inference.translation import Translation


def select_translation(candidates: Sequence[Translation], search: SearchConfig) -> Translation:
    """Return the candidate with the least expected risk.

    Samples have equal weights; the hypotheses of a beam are weighted by their probability. Unfinished hypotheses of a
    beam are candidates only if there is no finished one.
    """
    if search.candidates == "samples":
        return candidates[mbr_select([candidate.text for candidate in candidates])]
    finished = [candidate for candidate in candidates if candidate.finished] or candidates
    if len(finished) == 1:  # its probability may be 0
        return finished[0]
    greatest = max(candidate.log_probability for candidate in finished)
    weights = [math.exp(candidate.log_probability - greatest) for candidate in finished]
    return finished[mbr_select([candidate.text for candidate in finished], weights)]
