from __future__ import annotations

import json
import math

import pytest

from regard.cli.evaluation_output import TestSetScores, write_json
from regard.evaluation.by_label import by_label
from regard.evaluation.metrics import measure, word_bleu


def refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")


def test_scores_that_are_not_finite_are_null(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    hypotheses, references = ["a", "b"], ["", ""]
    quality = measure(hypotheses, references)
    assert math.isnan(quality.wer)
    labels = tuple(by_label(("x", "y"), hypotheses, references, word_bleu("de"), {}))
    scores = TestSetScores("test", 2, (), quality, {"mine": math.inf, "yours": -math.inf}, {2: 0.5}, labels, 1.0)
    write_json([scores])
    report = json.loads(capsysbinary.readouterr().out, parse_constant=refuse)
    assert (report["wer"], report["mine"], report["yours"]) == (None, None, None)
    assert report["exact"] == 0 and report["exact_at"] == {"2": 0.5} and len(report["labels"]) == 2
    write_json([scores, scores])
    report = json.loads(capsysbinary.readouterr().out, parse_constant=refuse)
    assert [item["wer"] for item in report["test_sets"]] == [None, None]
