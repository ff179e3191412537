"""What runs the documentation finds commands and their output, and notices what is not printed."""

from __future__ import annotations

import pytest
from tests.documentation.markdown import Step, steps
from tests.documentation.output import differences
from tests.documentation.shell import Stage, parse

PAGE = """
# Page

```sh
regard train recipe.toml    # a comment
# only a comment
regard translate runs/a < in > out
```

```
step 1
```

Text.

```
not output
```

```python
print("a\\n```")
```

```console
$ regard one
first
second
$ regard two \\
    --option
third
```

```json
{}
```
"""


def test_the_steps_of_a_page() -> None:
    assert steps(PAGE) == [
        Step("shell", 5, "regard train recipe.toml    # a comment"),
        Step("shell", 7, "regard translate runs/a < in > out", ("step 1",)),
        Step("python", 21, 'print("a\\n```")\n'),
        Step("shell", 25, "regard one", ("first", "second")),
        Step("shell", 28, "regard two     --option", ("third",)),
    ]


def test_a_command_line_is_split_into_stages() -> None:
    line = """echo "A | B" | regard translate runs/a --set 'a.b=["c"]' < in > out   # a comment"""
    assert parse(line) == [
        Stage(["echo", "A | B"]),
        Stage(["regard", "translate", "runs/a", "--set", 'a.b=["c"]'], "in", "out"),
    ]


REAL = [
    "reading the corpus",
    "time: 10 minutes allow about 357 steps of 1.3 s in float32 (about 3 h 11 min on this machine)",
    "step 71: dev loss 3.819  bleu 6.78",
]


@pytest.mark.parametrize(
    ("shown", "missing"),
    [
        (REAL, []),
        ([REAL[0], "...", REAL[2]], []),
        (["time: 1 minute allow"], ["time: 1 minute allow"]),
        (["time: 5 minutes allow about 12,000 steps of 250 s in bfloat16 (about 9 min on this machine)"], []),
        (["time: ... (about 2 min on this machine)"], []),
        (["step 7: dev loss 1  bleu 6"], []),
        (["step 7: dev loss 1  chrf 6"], ["step 7: dev loss 1  chrf 6"]),
        ([REAL[2], REAL[0]], [REAL[0]]),
        (["read the corpus"], ["read the corpus"]),
        (["time: 1 minutes allow about 2 steps of 3 s in float32", "  (about 4 s on this machine)"], []),
    ],
)
def test_messages_may_differ_in_numbers_only(shown: list[str], missing: list[str]) -> None:
    assert differences("train", shown, [], REAL) == missing


MAP = ["Ein Hund.", "", "      1 2 3 4", "Ein   █ ▒      A 83%, dog 10%", "</s>      █", "", "1 A  2 dog  3 .  4 </s>"]


def test_data_must_have_a_known_form() -> None:
    cat = ["Katzen", "", "     1 2", "Katze  █ ▓  B 70%, cat 9%", "", "1 B  2 cat"]
    assert not differences("attend", cat, MAP, [])  # of another number of words
    assert differences("translate", ["Katzen", "Hunde"], ["Katzen"], [])
    assert differences("attend", MAP, [*MAP[:3], "Ein: 83%", *MAP[4:]], [])
    assert differences("attend", [*MAP[:-1], "legend: 1=A"], MAP, [])
    assert not differences("translate", ["Hund", "3 lines were split"], ["Katze"], ["2 lines were split"])
    assert differences("translate", ["Hund", "3 lines were cut"], ["Katze"], ["2 lines were split"])
