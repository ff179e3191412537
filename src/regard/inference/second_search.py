"""A second search of lines whose translation has marks: with what it lacks as constraints, or with other settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from regard.config.schema import SearchConfig
from regard.inference.lines import Line
from regard.inference.options import ResolvedOptions
from regard.inference.translation import Translation
from regard.text.numbers import find_differences, localize

MIN_BEAM = 5  # of a search with constraints, which keeps a share of the beam for each level of progress

Search = Callable[[Sequence[Line], SearchConfig], list[list[Translation]]]
"""Returns the n-best list of each line."""


def search_with_fallback(
    search: Search, lines: Sequence[Line], options: ResolvedOptions, languages: tuple[str, str]
) -> list[list[Translation]]:
    """Return the n-best list of each line; lines whose best translation has marks are searched again.

    Args:
        search: Searches lines.
        lines: The lines.
        options: The settings of both searches.
        languages: Codes of the source and the target language, empty if unknown.
    """
    results = search(lines, options.search)
    if options.search.keep_numbers:
        stricter = [_require_missing(line, n_best[0], languages) for line, n_best in zip(lines, results, strict=True)]
        results = _search_again(search, results, stricter, _beam(options.search))
        if not options.with_attention:  # which restored addresses
            results = [[replace(best, attention=None, alignment=()) for best in n_best] for n_best in results]
    if options.fallback is not None:
        marked = [line if n_best[0].marks else None for line, n_best in zip(lines, results, strict=True)]
        results = _search_again(search, results, marked, options.fallback)
    return results


def _search_again(
    search: Search, results: list[list[Translation]], lines: Sequence[Line | None], settings: SearchConfig
) -> list[list[Translation]]:
    """Search the lines that are not None; return these results where they have fewer marks than the first ones."""
    better = list(results)
    places = [place for place, line in enumerate(lines) if line is not None]
    second_results = search([line for line in lines if line is not None], settings)
    for place, n_best in zip(places, second_results, strict=True):
        if len(n_best[0].marks) < len(results[place][0].marks):
            better[place] = n_best
    return better


def _require_missing(line: Line, best: Translation, languages: tuple[str, str]) -> Line | None:
    """Return a line that also requires the numbers that its translation lacks; None if it lacks nothing.

    Addresses that differ are removed before the search, and restored in the translation.
    """
    if "numbers" not in best.marks:
        return None
    differences = find_differences(line.text, best.text, languages)
    missing = [difference.source for difference in differences if difference.source and difference.kind == "number"]
    has_address = any(difference.kind == "address" for difference in differences)
    if not (missing or has_address):
        return None
    require = (*line.constraints.require, *(localize(number, *languages) for number in missing))
    constraints = replace(line.constraints, require=tuple(dict.fromkeys(require)))
    return replace(line, constraints=constraints, without_addresses=has_address)


def _beam(search: SearchConfig) -> SearchConfig:
    """Return settings of a beam search that can satisfy constraints."""
    return search.model_copy(update={"strategy": "beam", "beam_size": max(search.beam_size, MIN_BEAM)})
