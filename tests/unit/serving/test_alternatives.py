"""POST /alternatives."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.serving.clients import ask

from regard.serving.service import Service

SENTENCE = {"q": "one two three", "source": "en", "target": "de"}


def alternatives(service: Service, **fields: Any) -> Any:
    answer = ask(service, "POST", "/alternatives", json={**SENTENCE, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()["alternatives"]


def test_words_after_a_prefix(service: Service) -> None:
    first, *rest = alternatives(service, prefix="eins ", alternatives=3)
    assert (first["text"], first["prefix"]) == ("zwei", "eins zwei")
    assert first["probability"] > 0.9
    assert len(rest) == 2
    assert sum(word["probability"] for word in (first, *rest)) <= 1
    assert alternatives(service)[0]["text"] == "eins"
    assert alternatives(service, prefix="eins zwei drei ")[0]["text"] == ""  # the end of the sentence
    prefix = f"{rest[0]['prefix']} "
    chosen = ask(service, "POST", "/translate", json={**SENTENCE, "prefix": prefix}).json()["translatedText"]
    assert f"{chosen} ".startswith(prefix)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"q": ""}, "missing q"),
        ({"q": "one " * 2000}, "at most 512 tokens"),
        ({"prefix": "eins " * 2000}, "prefix must have fewer than"),
        ({"prefix": "eins " * 20_000}, "exceeds text limit"),
        ({"prefix": "eins 日 "}, "lacks a part of the prefix: 日"),
        ({"alternatives": 9}, "alternatives"),
        ({"alternatives": 0}, "alternatives"),
        ({"target": "xx"}, "not supported"),
        ({"model": "xx"}, "no such model"),
        ({"q": " "}, "no source"),
    ],
)
def test_invalid_requests(service: Service, fields: dict[str, Any], message: str) -> None:
    answer = ask(service, "POST", "/alternatives", json={**SENTENCE, **fields})
    assert answer.status_code == 400
    assert message in answer.json()["error"]
