from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from matplotlib import font_manager

from regard.reports import theme
from regard.reports.theme import find_missing_glyphs, visible_token


def test_tokens_are_made_visible() -> None:
    assert [visible_token(token) for token in (" ", "\x00a\n", "a\u200db", "日")] == ["␣", "�a�", "a\u200db", "日"]


def test_fonts_installed_since_matplotlib_cached_its_list_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new.ttf"
    shutil.copy(font_manager.findfont("DejaVu Sans"), new)
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    known = list(font_manager.fontManager.ttflist)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", known)
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "broken.ttf"), str(new)])
    theme._font_families.cache_clear()
    try:
        assert find_missing_glyphs("a\U0010fffd") == {"\U0010fffd"}
        assert str(new) in {font.fname for font in known}
        assert str(tmp_path / "broken.ttf") not in {font.fname for font in known}
    finally:
        theme._font_families.cache_clear()
