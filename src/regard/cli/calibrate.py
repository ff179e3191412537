"""`regard calibrate`: learn from held-out pairs how sure a model's translations are."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

from regard.cli.options import (
    TEST_SET,
    Data,
    DeviceOption,
    Reference,
    Run,
    SearchSettings,
    Source,
    SourceColumn,
    SourceLanguage,
    TargetColumn,
    TargetLanguage,
    option,
)
from regard.errors import ConfigError
from regard.plugins.registry import plugin_options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from regard.inference.translator import Translation

EXAMPLES = """
regard calibrate runs/en-de
regard calibrate runs/en-de --data our-domain.tmx
regard translate runs/en-de --confidence < input.txt
"""


def calibrate(
    run: Run,
    source: Source = None,
    reference: Reference = None,
    data: Data = None,
    source_language: SourceLanguage = "",
    target_language: TargetLanguage = "",
    source_column: SourceColumn = "",
    target_column: TargetColumn = "",
    right_chrf: Annotated[
        float,
        option(
            "CHRF", "Lowest chrF against its reference of a translation that counts as right.", TEST_SET, min=0, max=100
        ),
    ] = 50.0,
    settings: SearchSettings = None,
    device: DeviceOption = "auto",
) -> None:
    """Learn from held-out pairs how sure the model's translations are, for `regard translate --confidence`.

    Training does this at its end. Without files, the pairs are the dev set of the run. Give pairs of another domain to
    learn how sure the model is there.
    """
    from regard.cli.search_settings import search_settings
    from regard.cli.test_set import TestSetFiles
    from regard.console import say, status, track
    from regard.corpus.formats.sides import Sides
    from regard.corpus.paths import CorpusPaths

    search = search_settings(settings)
    place = CorpusPaths(source, reference, data, ("--source", "--reference", "--data"))
    sides = Sides(source_language, target_language, source_column, target_column)
    with status("loading PyTorch"):
        from regard.checkpoints.hub import is_hub_name
        from regard.checkpoints.run_folder import RunFolder, resolve_checkpoint
        from regard.runs.card.file import refresh_card
        from regard.runs.confidence import calibrate as fit
        from regard.runs.confidence import load_dev_pairs

    if is_hub_name(run):
        fix = "download it with `hf download`, and give the folder"
        raise ConfigError("a model in the cache of the hub stays as it is", where=run, fix=fix)
    resolve_checkpoint(run)  # report a wrong path
    if place.files():
        pairs, skipped = TestSetFiles(place, sides).pairs(run)
        for message in skipped.sentences():
            say(message)
        texts = tuple((pair.source, pair.target) for pair in pairs if pair.source.strip() and pair.target.strip())
    else:
        texts = load_dev_pairs(run)

    def watch(translations: Iterable[Translation], total: int) -> Iterable[Translation]:
        return track(translations, "translating", total)

    result = fit(run, texts, chrf=right_chrf, search=search, device=device, watch=watch)
    say(str(result))
    say(f"written to {result.path}")
    if RunFolder(run).recipe.is_file():
        refresh_card(RunFolder(run), say)
    say(f"translate:  regard translate {shlex.quote(str(run))} --confidence{plugin_options()} < input.txt > output.txt")
