"""Run the tests that need a GPU, and report each one that fails."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from on_gpu.report import Report, shorten
from on_gpu.task import Task

ROOT = Path(__file__).resolve().parents[2]
FILES = ("tests/laws/test_devices.py",)  # collecting all tests would take most of the time


def run_tests(task: Task, report: Report) -> None:
    """Run the tests marked `gpu`."""
    failed: dict[ElementTree.Element, ElementTree.Element] = {}
    with report.attempt("pytest -m gpu") as values:
        if task.device.type != "cuda":
            raise RuntimeError("there is no GPU")
        with tempfile.TemporaryDirectory() as scratch:
            results = Path(scratch) / "results.xml"
            options = ["-q", "-m", "gpu", "-p", "no:cacheprovider", "-W", "default", "--tb=short"]
            command = [sys.executable, "-m", "pytest", *options, f"--junitxml={results}", *FILES]
            process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            if not results.is_file():
                raise RuntimeError(process.stdout[-500:] + process.stderr[-500:])
            cases = list(ElementTree.parse(results).iter("testcase"))
        failed = {case: problem for case in cases for problem in case if problem.tag in ("failure", "error")}
        skipped = sum(case.find("skipped") is not None for case in cases)
        values["passed"] = len(cases) - len(failed) - skipped
        values["failed"], values["skipped"] = len(failed), skipped
        values["s"] = round(sum(float(case.get("time", 0)) for case in cases), 1)
    for case, problem in failed.items():
        with report.attempt(str(case.get("name"))):
            raise AssertionError(shorten(problem.get("message") or problem.text or ""))
