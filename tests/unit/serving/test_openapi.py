"""The example requests of docs/serving.md succeed."""

from __future__ import annotations

import shlex
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.unit.serving.clients import ask

from regard.serving.service import Service

PAGE = Path(__file__).parents[3] / "docs" / "serving.md"
TEXT = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")  # a command may continue on the next line
FILES = {".arb": b'{"a": "one"}'}  # the content of the files of examples
LINES = [line for line in TEXT.splitlines() if line.startswith("curl ")]
PREFIXES = {"Ein Hund rennt ": "eins zwei ", "Ein Hund ": "eins "}  # those of the examples, in words of the model


def test_the_documentation_has_examples() -> None:
    assert len(LINES) > 10


def replace_prefix(text: str) -> str:
    """Return a request with a prefix that the model knows."""
    for prefix, known in PREFIXES.items():
        text = text.replace(f'"prefix": "{prefix}"', f'"prefix": "{known}"')
    return text


@pytest.mark.parametrize("line", LINES)
def test_each_example_succeeds(line: str, calibrated: Service) -> None:
    data: list[str] = []
    form: dict[str, str] = {}
    files = {}
    headers = {}
    address = ""
    words = iter(shlex.split(line)[1:])
    for word in words:
        if word == "-d":
            data.append(replace_prefix(next(words)))
        elif word == "-F":
            name, _, value = next(words).partition("=")
            if value.startswith("@"):
                files[name] = (value[1:], FILES[Path(value).suffix])
            else:
                form[name] = value
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        else:
            assert not word.startswith("-")
            address = word
    if files:
        answer = ask(calibrated, "POST", urlsplit(address).path, data=form, files=files)
        assert answer.status_code == 200, answer.text
        return
    if data:
        headers.setdefault("Content-Type", "application/x-www-form-urlencoded")  # as curl does
    url = urlsplit(address)
    assert url.netloc == "127.0.0.1:5000"
    answer = ask(
        calibrated,
        "POST" if data else "GET",
        f"{url.path}?{url.query}",
        content="&".join(data).encode() or None,
        headers=headers,
    )
    assert answer.status_code == 200, answer.text
