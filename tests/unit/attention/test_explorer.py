from __future__ import annotations

import base64
import hashlib
import json
import re

import numpy as np

from regard.attention.explorer import render_explorer_page, to_json
from regard.attention.maps import AttentionMaps, TokenizedText


def maps() -> AttentionMaps:
    source = TokenizedText(("▁<b>", "x", "</s>"), (0, 0, 1), ("<b>x", "</s>"))
    target = TokenizedText(("</script>", "</s>"), (0, 1), ("</script>", "</s>"))
    mean = np.array([[0.25, 0.5, 0.25], [0.1, 0.1, 0.8]], dtype=np.float32)
    return AttentionMaps(source, target, mean, {"source": (mean[None],)}, is_saliency=False)


def test_a_page_holds_the_json_of_each_map() -> None:
    html = render_explorer_page("A & B", [("<i>one", maps()), ("two", maps())])
    scripts = re.findall(r'<script type="application/json" id="maps-(\d)">(.*?)</script>', html)
    assert [number for number, _ in scripts] == ["0", "1"]
    assert all(json.loads(text) == json.loads(json.dumps(to_json(maps()))) for _, text in scripts)
    assert "<title>A &amp; B</title>" in html and "&lt;i&gt;one" in html


def test_only_its_own_script_may_run() -> None:
    html = render_explorer_page("A", [("one", maps())])
    (code,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in html and "default-src 'none'" in html


def test_json_links_tokens_to_words() -> None:
    table = to_json(maps())
    assert table["source"] == {"tokens": ("▁<b>", "x", "</s>"), "words": ("<b>x", "</s>"), "word_of_token": (0, 0, 1)}
    assert table["mean"][0] == [0.25, 0.5, 0.25]
    assert table["alignment"] == [[0, 0]]
    assert maps().fold_to_words(maps().mean).tolist() == np.array([[0.75, 0.25], [0.2, 0.8]], dtype=np.float32).tolist()
