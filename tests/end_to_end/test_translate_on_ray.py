"""`regard translate --ray` writes what one process writes, continues after an interruption, and survives lost parts."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

import pytest
from tests.end_to_end.fake_ray import FakeCluster, install
from tests.end_to_end.helpers import Files, call, refused, start, write_lines

from regard.inference import part_files
from regard.inference.cluster import ClusterJob
from regard.inference.line_output import LineOutput
from regard.inference.part_files import PartFiles, divide
from regard.inference.translator import Translator

PART = 10  # lines


@pytest.fixture(autouse=True)
def short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_files, "PART_LINES", PART)


@pytest.fixture
def source(files: Files, tmp_path: Path) -> Path:
    return write_lines(tmp_path / "test.src", [*files.test[:33], "", " 12 34 "])


def results(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("00000?.json"))


def test_the_files_are_those_of_one_process(
    run: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A required phrase for one line, two translations of each, scores, alignments and a report."""
    cluster = FakeCluster(lost=[{1, 3}, {3}], breaks=True)
    install(monkeypatch, cluster)
    constraints = write_lines(tmp_path / "constraints", [*["{}"] * 34, '{"prefix": "4"}'])
    written = {}
    for name, extra in (("alone", ["--workers", "1"]), ("cluster", ["--ray", "auto"])):
        folder = tmp_path / name
        options: list[str | Path] = [
            "--alignments",
            folder / "alignments",
            "--report",
            folder / "report",
            "--constraints",
            constraints,
        ]
        finished = call(
            *(
                "translate",
                run,
                "-i",
                source,
                "-o",
                folder / "out",
                "--top-beams",
                "2",
                "--scores",
                "--batch-size",
                "1",
            ),
            *options,
            *extra,
        )
        assert finished.code == 0, finished.err
        written[name] = {path.name: path.read_bytes() for path in folder.iterdir()}
        written[name]["stderr"] = finished.err.encode()
    assert written["cluster"] == written["alone"]
    assert len(written["alone"]["out"].splitlines()) == 70
    assert cluster.passes == [[0, 1, 2, 3], [1, 3], [3]]
    assert cluster.options["num_cpus"] == 1
    assert cluster.options["max_task_retries"] == 0


def test_a_second_start_continues_with_the_missing_parts(
    run: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = FakeCluster(lost=[{0, 2}, {0, 2}], breaks=True)
    install(monkeypatch, cluster)
    out = tmp_path / "out"
    command: list[str | Path] = ["translate", run, "-i", source, "-o", out, "--ray", "auto"]
    failed = call(*command)
    refused(failed, "the cluster translates nothing: a node was lost", "2 of 4 parts are in")
    assert not out.exists()
    folder = tmp_path / "out.parts"
    assert results(folder) == ["000001.json", "000003.json"]
    table = json.loads((folder / "000003.json").read_text())
    table[0]["texts"] = ["from the first start"]
    (folder / "000003.json").write_text(json.dumps(table))
    refused(call(*command, "--beam-size", "2"), "parts of another translation", "delete the folder")
    second = call(*command)
    assert second.code == 0, second.err
    assert "continuing: 2 of 4 parts are in" in second.err
    assert cluster.passes[2:] == [[0, 2]]
    lines = out.read_text().splitlines()
    assert lines[30] == "from the first start"
    expected = call("translate", run, "-i", source).out.decode().splitlines()
    assert lines[:30] + lines[31:] == expected[:30] + expected[31:]
    assert not folder.exists()


def test_an_error_of_a_line_names_its_place(
    run: Path, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is too long for one segment, and has a constraint that fits none."""
    install(monkeypatch, FakeCluster())
    source = write_lines(tmp_path / "lines", [*files.test[:20], "1 2 " * 300, "3"])
    constraints = write_lines(tmp_path / "constraints", [*["{}"] * 20, '{"require": ["77"]}', "{}"])
    command: list[str | Path] = ["translate", run, "-i", source, "-o", tmp_path / "out", "--constraints", constraints]
    alone, cluster = call(*command), call(*command, "--ray", "auto")
    refused(alone, f"{source}:21")
    refused(cluster, f"{source}:21")
    assert alone.err.splitlines()[-2:] == cluster.err.splitlines()[-2:]


def test_rows_of_parquet_are_translated_like_lines(
    run: Path, source: Path, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow
    from pyarrow import parquet

    install(monkeypatch, FakeCluster())
    rows = [{"id": number, "text": text, "note": "x"} for number, text in enumerate([*files.test[:12], None, "1\n2"])]
    table = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), table)
    lines = write_lines(tmp_path / "lines", [*files.test[:12], "", "1 2"])
    expected = call("translate", run, "-i", lines).out
    command: list[str | Path] = ["translate", run, "-i", table, "--source-column", "text"]
    assert call(*command).out == expected
    assert call(*command, "-o", tmp_path / "out", "--ray", "auto").code == 0
    assert (tmp_path / "out").read_bytes() == expected
    refused(call("translate", run, "-i", table), "2 hold text (text, note)", "--source-column")
    refused(call("translate", run, "-i", table, "--source-column", "id"), "does not hold text")
    refused(call("translate", run, "-i", table, "--source-column", "x"), "there is no key 'x'", "--source-column")
    refused(call("translate", run, "-i", table, "--target-column", "x"), "columns, keys and languages belong to")


def test_the_folder_of_the_parts_deletes_no_files_of_others(
    run: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, FakeCluster())
    command: list[str | Path] = ["translate", run, "-i", source, "-o", tmp_path / "out", "--ray", "auto"]
    folder = tmp_path / "out.parts"
    folder.mkdir()
    (folder / "000000.source.json").write_text("{")  # killed while the lines were divided
    (folder / "mine").write_text("mine")
    refused(call(*command), "the folder has other files")
    (folder / "mine").unlink()
    assert call(*command).code == 0


def test_what_ray_needs(run: Path, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command: list[str | Path] = ["translate", run, "-i", source, "--ray", "here:1"]
    refused(call(*command), "--ray", "give both --input and --output")
    po = write_lines(tmp_path / "a.po", ['msgid ""', 'msgstr ""'])
    refused(call("translate", run, "-i", po, "-o", tmp_path / "b.po", "--ray", "here:1"), "on one machine")
    command += ["-o", tmp_path / "out"]
    monkeypatch.setitem(sys.modules, "ray", None)
    refused(call(*command), "Ray, which is not installed", 'pip install "regard[ray]"')

    def connect(*_: object, **__: object) -> None:
        raise ConnectionError("no answer\nand more")

    install(monkeypatch, FakeCluster(), connect)
    refused(call(*command), "there is no Ray cluster at `here:1`: no answer", "ray start --head")
    install(monkeypatch, FakeCluster())
    refused(call(*command, "--device", "cuda"), "the cluster has no GPU")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of Ray
def test_a_cluster_of_two_nodes_loses_one(
    run: Path, translator: Translator, files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The results are those of one process, in order, and no part that was whole is translated again."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    from ray.cluster_utils import Cluster

    lines = files.test * 8
    expected = [LineOutput.of(best) for best in translator.translate(lines, batch_size=1)]
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    source, out = write_lines(tmp_path / "lines", lines), tmp_path / "out"
    try:
        command = ("translate", run, "-i", source, "-o", out, "--ray", cluster.address, "--batch-size", "1")
        process = start(*command)
        _, err = process.communicate()
        assert process.returncode == 0, err
        assert out.read_text().splitlines() == [output.texts[0] for output in expected]

        parts = PartFiles.open(tmp_path / "parts", {}, lambda: divide(iter(lines), None))
        ray.init(cluster.address, log_to_driver=False)
        job = ClusterJob(parts, lambda: Translator.load(run, "cpu"), {"batch_size": 1}, device="cpu")
        outputs: list[LineOutput] = []
        times: dict[Path, int] = {}
        for output in job.results():
            outputs.append(output)
            if len(outputs) == 8 * PART:
                times = {path: path.stat().st_mtime_ns for path in parts.folder.glob("??????.json")}
                assert 8 <= len(times) < parts.count - 8
                cluster.remove_node(second, allow_graceful=False)
        assert outputs == expected
        assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    finally:
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of Ray
def test_a_start_on_this_machine_is_interrupted_and_continues(run: Path, files: Files, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -e '.[ray]'")
    lines = files.test * 120  # 12,000 lines are 6 parts
    source, out = write_lines(tmp_path / "lines", lines), tmp_path / "out"
    command = ("translate", run, "-i", source, "-o", out, "--ray", "local", "--workers", "1")
    first = start(*command)
    folder = tmp_path / "out.parts"
    while not results(folder):
        assert first.poll() is None, first.communicate()
        threading.Event().wait(0.05)
    first.terminate()
    _, err = first.communicate()
    assert first.returncode == 130, err
    assert b"parts are in" in err
    assert not out.exists()
    second = start(*command)
    _, err = second.communicate()
    assert second.returncode == 0, err
    assert b"continuing: " in err
    assert out.read_bytes() == start("translate", run, "-i", source, "--workers", "1").communicate()[0]
    assert not folder.exists()
