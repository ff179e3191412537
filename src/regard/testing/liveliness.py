"""Laws that make the others worth something: predictions are confident, and depend on source and prefix."""

from __future__ import annotations

from regard.decoding.beam import beam_search
from regard.decoding.beam_state import BeamSettings
from regard.decoding.length_penalty import gnmt
from regard.testing.assertions import require_lively
from regard.testing.case import Case
from regard.testing.law import law
from regard.testing.sequences import SOURCES, TARGETS


@law("a model that predicts the same everywhere passes every other law")
def outputs_depend_on_source_and_prefix(case: Case) -> None:
    """Predictions are confident, and differ between target positions and between sources."""
    model = case.model()
    probabilities = model(SOURCES, TARGETS).softmax(-1)  # (B, T, V)
    confidence = float(probabilities.amax(-1).mean())
    require_lively(confidence > 0.5, f"predictions are vague: the best token has a probability of {confidence:.2f}")
    by_position = float(probabilities.std(1).amax(-1).min())
    require_lively(by_position > 0.05, f"predictions vary by only {by_position:.3g} between target positions", 1)
    same_prefix = model(SOURCES, TARGETS[:1].expand_as(TARGETS)).softmax(-1)
    by_source = float(same_prefix.std(0).amax(-1).min())
    require_lively(
        by_source > 0.01, f"predictions vary by only {by_source:.3g} between sources: is the source read?", 2
    )


@law("search laws would not test how hypotheses end")
def searches_end_in_both_ways(case: Case) -> None:
    """Beam search returns hypotheses that end with EOS and hypotheses that end at the limit."""
    model = case.model()
    beams = beam_search(
        model.decoder, model.encode(SOURCES), [9, 4, 7, 12], BeamSettings(beam_size=3, penalty=gnmt(0.6), top_beams=3)
    )
    endings = {hypothesis.finished for beam in beams for hypothesis in beam}
    require_lively(len(endings) == 2, f"all hypotheses {'end with EOS' if True in endings else 'reach the limit'}")
