from __future__ import annotations

import base64
import hashlib
import json
import re

import numpy as np

from regard.attention.explorer import page, table
from regard.attention.maps import Looks, Side


def looks() -> Looks:
    source = Side(("▁<b>", "x", "</s>"), (0, 0, 1), ("<b>x", "</s>"))
    target = Side(("</script>", "</s>"), (0, 1), ("</script>", "</s>"))
    mean = np.array([[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]], dtype=np.float32)
    return Looks(source, target, mean, {"source": (mean[None],)}, gradient=False)


def test_numbers_of_a_page_are_those_of_the_table() -> None:
    made = page("A & B", [("<i>one", looks()), ("two", looks())])
    found = re.findall(r'<script type="application/json" id="looks-(\d)">(.*?)</script>', made)
    assert [number for number, _ in found] == ["0", "1"]
    assert all(json.loads(text) == json.loads(json.dumps(table(looks()))) for _, text in found)
    assert "<title>A &amp; B</title>" in made and "&lt;i&gt;one" in made


def test_its_own_script_alone_may_run() -> None:
    made = page("A", [("one", looks())])
    (code,) = re.findall(r"<script>(.*?)</script>", made, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in made and "default-src 'none'" in made


def test_a_table_says_which_word_a_token_is_of() -> None:
    told = table(looks())
    assert told["source"] == {"tokens": ("▁<b>", "x", "</s>"), "words": ("<b>x", "</s>"), "word_of_token": (0, 0, 1)}
    assert told["mean"][0] == [0.25, 0.5, 0.25]
    assert told["alignment"] == [[0, 0]]
    assert looks().folded(looks().mean).tolist() == np.array([[0.75, 0.25], [0.2, 0.8]], dtype=np.float32).tolist()
