"""CITATION.cff, the issue forms and the page on versions say what is true."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.house.test_public_names import PUBLIC

import regard
from regard.checkpoints.checkpoint import FORMAT
from regard.config.migrations import ADDED

ROOT = Path(__file__).parents[2]
FORMS = sorted(path for path in (ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Of the schema of CITATION.cff 1.2.0; the file was validated with cffconvert, too.
REQUIRED = {"cff-version", "message", "title", "authors"}
KEYS = REQUIRED | {
    *("abstract", "commit", "contact", "date-released", "doi", "identifiers", "keywords", "license", "license-url"),
    *("preferred-citation", "references", "repository", "repository-artifact", "repository-code", "type", "url"),
    "version",
}


def test_file_names_are_valid_on_every_system() -> None:
    """A test that saves a picture in the working folder may have left one with a colon in its name."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is not a clone")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    names = listed.split("\0")[:-1]
    assert len(names) > 100
    assert [name for name in names if not re.fullmatch(r"[\w./-]+", name)] == []


def test_the_citation_is_valid_and_that_of_this_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation.keys() >= REQUIRED
    assert citation.keys() <= KEYS
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["version"] == regard.__version__
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert citation["abstract"] == PROJECT["description"]
    assert all(author.keys() & {"name", "family-names", "given-names", "alias"} for author in citation["authors"])


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_has_what_github_needs(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form.keys() == {"name", "description", "labels", "body"}
    questions = [field for field in form["body"] if field["type"] != "markdown"]
    identifiers = [field["id"] for field in questions]
    assert len(set(identifiers)) == len(identifiers) > 0
    assert all(re.fullmatch(r"[\w-]+", identifier) for identifier in identifiers)
    assert {field["type"] for field in form["body"]} <= {"markdown", "textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in questions)


def test_there_are_issue_forms() -> None:
    assert len(FORMS) == 3


def test_the_page_on_versions_names_the_formats_that_there_are() -> None:
    page = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    assert f"checkpoint (format {FORMAT} now)" in page
    frozen = sorted((ROOT / "tests" / "format").glob("checkpoint-*.json"))
    assert [path.stem for path in frozen] == [f"checkpoint-{number}" for number in range(1, FORMAT + 1)]
    assert ADDED["search"].keys() == {"patience"}
    assert "load" in PUBLIC
