"""Regular expressions in recipes."""

import regex


def compile_pattern(pattern: str) -> regex.Pattern[str]:
    """Compile a regular expression. Raise ValueError if it is not valid."""
    try:
        return regex.compile(pattern)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{pattern!r} is not a regular expression: {error}") from None
