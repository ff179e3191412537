"""`regard inspect`: find faults in a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from regard.cli.options import (
    OUTPUT,
    CorpusData,
    CorpusSource,
    CorpusSourceColumn,
    CorpusSourceLanguage,
    CorpusTarget,
    CorpusTargetColumn,
    CorpusTargetLanguage,
    DevData,
    DevSource,
    DevTarget,
    TestData,
    TestSource,
    TestTarget,
    option,
)

EXAMPLES = """
regard inspect --source train.en --target train.de
regard inspect --data train.tmx --test-data test.tsv --html report.html
"""


def inspect(
    source: CorpusSource = None,
    target: CorpusTarget = None,
    data: CorpusData = None,
    dev_source: DevSource = None,
    dev_target: DevTarget = None,
    dev_data: DevData = None,
    test_source: TestSource = None,
    test_target: TestTarget = None,
    test_data: TestData = None,
    source_language: CorpusSourceLanguage = "",
    target_language: CorpusTargetLanguage = "",
    source_column: CorpusSourceColumn = "",
    target_column: CorpusTargetColumn = "",
    json_: Annotated[Path | None, option("FILE", "Write the findings as JSON.", OUTPUT, "--json")] = None,
    html: Annotated[Path | None, option("FILE", "Write a page with plots.", OUTPUT)] = None,
) -> None:
    """Find faults in a corpus, with line numbers and examples, before you train on it."""
    from regard.cli.corpus_inputs import CorpusInputs
    from regard.cli.corpus_report import as_json, as_text
    from regard.cli.streams import output, refuse_same
    from regard.console import status
    from regard.corpus.formats.sides import Sides

    inputs = CorpusInputs.of(
        (source, target, data),
        (dev_source, dev_target, dev_data),
        (test_source, test_target, test_data),
        Sides(source_language, target_language, source_column, target_column),
    )
    refuse_same(inputs.files(), [json_, html])
    corpus = inputs.read()
    with status("checking ..."):
        report = corpus.inspect()
    with output(None) as write:
        for line in as_text(report):
            write(line + "\n")
    if json_ is not None:
        with output(json_) as write:
            write(json.dumps(as_json(report), ensure_ascii=False, indent=1) + "\n")
    if html is not None:
        from regard.reports.corpus.page import render_report

        with output(html) as write:
            write(render_report(report))
