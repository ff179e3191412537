"""Commands answer soon: they import only what they need, and PyTorch only after the options are checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.end_to_end.helpers import ONE_THREAD

from regard.cli.main import _with_called_command, app

CHECKPOINT = Path(__file__).parents[2] / "format" / "checkpoint-1"
HEAVY = ("babel", "matplotlib", "num2words", "sacrebleu", "tensorboard", "torch._dynamo", "regard.runs.train")
TRANSLATE = f"""
import gc, sys
from regard.cli.main import run
sys.argv = ["regard", "translate", sys.argv[1], "--device", "cpu"]
try:
    run()
except SystemExit:
    pass
print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
if gc.get_freeze_count() < 100_000 or not gc.isenabled():
    print("the garbage collector visits the objects of PyTorch", file=sys.stderr)
"""


def regard(code: str, *arguments: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, env=ONE_THREAD, check=False)


def test_translating_a_line_imports_nothing_that_it_does_not_need() -> None:
    finished = regard(TRANSLATE, CHECKPOINT, stdin="1 2\n")
    assert (finished.returncode, finished.stderr.strip()) == (0, "")


def test_typer_prepares_only_the_called_command() -> None:
    assert [command.name for command in _with_called_command(["translate", "run"]).registered_commands] == ["translate"]
    for arguments in ([], ["--help"], ["data", "list"], ["no-such-command"]):
        assert _with_called_command(arguments) is app


WRONG: list[tuple[list[str | Path], str]] = [
    (["translate", "no-such-run"], "no-such-run: there is no such folder"),
    (["translate", CHECKPOINT, "--set", "search.beam=3"], "there is no key `beam`"),
    (["translate", CHECKPOINT, "--set", "search.beam_size=0"], "search.beam_size"),
    (["translate", CHECKPOINT, "--set", "train.seed=1"], "search.KEY=VALUE"),
    (["translate", CHECKPOINT, "--input", "no-such-file"], "no-such-file"),
    (["translate", CHECKPOINT, "--plain", "--paragraphs"], "--plain, --paragraphs"),
    (["translate", CHECKPOINT, "--ray", "auto"], "give both --input and --output"),
    (["evaluate", CHECKPOINT], "no test set is given"),
    (["score", CHECKPOINT, "--source", "a"], "give both"),
    (["attend", CHECKPOINT, "a", "--output", "a.gif"], "`.gif`"),
    (["analyze", CHECKPOINT, "--against-set", "beam_size=2"], "--against"),
    (["export", "no-such-run", "out", "--to", "marian"], "no-such-run"),
    (["train"], "there is nothing to train on"),
    (["train", "--source", "a"], "not clear what to train on"),
    (["train", "recipe.toml", "--set", "nonsense"], "section.key=value"),
    (["train", "--resume", "run", "--dry-run"], "--resume"),
    (["train", "--data", "a.tsv", "--architecture", "transfomer2017"], "--architecture: unknown architecture"),
    (["compare", "--corpus", "dates", "--architectures", "modem, cho2014"], "did you mean `modern`"),
    (["train", "a.toml", "--extend-vocabulary", "5"], "--extend-vocabulary: there is no vocabulary"),
    (["train", "a.toml", "--dry-run", "--ray", "auto"], "--ray: a dry run encodes on this machine"),
]
# All commands in one process: an import of PyTorch fails, and would fail again.
IN_ONE_PROCESS = """
import io, json, sys
from contextlib import redirect_stderr
sys.modules["torch"] = None
from regard.cli.main import run
results = []
for arguments in json.loads(sys.argv[1]):
    sys.argv = ["regard", *arguments]
    status, err = 0, io.StringIO()
    with redirect_stderr(err):
        try:
            run()
        except SystemExit as end:
            status = end.code
    results.append((status, err.getvalue()))
print(json.dumps(results))
"""


def test_wrong_options_are_reported_before_pytorch_is_imported() -> None:
    finished = regard(IN_ONE_PROCESS, json.dumps([list(map(str, arguments)) for arguments, _ in WRONG]))
    assert finished.returncode == 0, finished.stderr
    for (arguments, message), (status, err) in zip(WRONG, json.loads(finished.stdout), strict=True):
        assert status == 1, (arguments, err)
        assert message in err and "Traceback" not in err, (arguments, err)


def test_help_and_version_do_not_import_pytorch() -> None:
    commands = [["--help"], ["-h"], ["--version"], ["version"], ["translate", "-h"], ["train", "--help"]]
    finished = regard(IN_ONE_PROCESS, json.dumps(commands))
    assert finished.returncode == 0, finished.stderr
    results = json.loads(finished.stdout.splitlines()[-1])  # after what the commands print
    assert results == len(commands) * [[0, ""]], results
