"""White space and line breaks, treated in one way by every tokenizer."""

# What str.splitlines breaks at. A decoded text holds none of them: it is one line of a file.
_BREAKS = str.maketrans(dict.fromkeys("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029", " "))


def one_line(text: str) -> str:
    """The text with a space for every character that any reader may take for a line break."""
    return text.translate(_BREAKS)


def fold_spaces(text: str) -> str:
    """The text with one space for every run of white space (as Unicode has it), none at its ends."""
    return " ".join(text.split())
