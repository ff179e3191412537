"""A second search of lines whose translation has marks: without the numbers that it lacks, or with other settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from regard.config.schema import SearchConfig
from regard.inference.lines import Line
from regard.inference.options import ResolvedOptions
from regard.inference.translation import Constraints, Translation
from regard.terms.glossary import Term
from regard.text.numbers import find_differences

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
        without = [_remove_missing(line, n_best[0], languages) for line, n_best in zip(lines, results, strict=True)]
        results = _search_again(search, results, without, options.search)
        if not options.with_attention:  # which restores what was removed
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


def _remove_missing(line: Line, best: Translation, languages: tuple[str, str]) -> Line | None:
    """Return a line from which what its translation lacks is removed before the search; None if it lacks nothing.

    A line with constraints other than terms stays as it is. What is removed is restored in the translation. This keeps
    more numbers than constraints, and better sentences (benchmarks/RESULTS.md).
    """
    other_constraints = replace(line.constraints, terms=())
    if "numbers" not in best.marks or other_constraints != Constraints():
        return None
    differences = find_differences(line.text, best.text, languages)
    missing = [difference.source for difference in differences if difference.kind in ("number", "address")]
    removed = [text for text in dict.fromkeys(missing) if text and not _is_in_term(text, line.constraints.terms)]
    return replace(line, removed=tuple(removed)) if removed else None


def _is_in_term(text: str, terms: Sequence[Term]) -> bool:
    """Return whether a number or an address is part of a term, which the search finds and requires as a whole."""
    return any(text in term.source for term in terms)
