"""White space and line breaks, handled the same way by every tokenizer."""

# Where str.splitlines breaks. A decoded text contains none of these, so it is one line of a file.
_BREAKS = str.maketrans(dict.fromkeys("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", " "))


def one_line(text: str) -> str:
    """Replace every character that a reader may take for a line break by a space."""
    return text.translate(_BREAKS)


def fold_spaces(text: str) -> str:
    """Replace every run of Unicode white space by one space, and remove it at both ends."""
    return " ".join(text.split())
