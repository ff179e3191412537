"""Regular expressions in recipes."""

import regex


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Compile a regular expression. Raise ValueError if it is not valid, or matches from the end as `(?r)` asks."""
    try:
        compiled = regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
    if compiled.flags & regex.REVERSE:
        raise ValueError(f"{pattern!r} has the flag `r`: tokens are matched from the beginning of a text")
    return compiled
