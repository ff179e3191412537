"""Worker processes of one server, without HTTP."""

from __future__ import annotations

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch
from tests.unit.serving import probes
from tests.unit.serving.clients import ask, ask_all
from tests.unit.serving.runs import reference, sentences

from regard.errors import CheckpointError, ConfigError, DecodingError
from regard.serving import model_process, workers
from regard.serving.limits import Limits, RequestRejected, busy
from regard.serving.models import Models
from regard.serving.service import Service
from regard.serving.workers import Deaths, ModelProcess, RemoteTranslator, call_with, check_workers

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="workers need Linux")


@pytest.fixture(scope="module")
def remote(run: Path) -> Iterator[Models]:
    yield Models([run], "cpu", workers=2)
    workers._close_all()


@pytest.fixture
def translator(remote: Models) -> RemoteTranslator:
    translator = remote.served[0].translator
    assert isinstance(translator, RemoteTranslator)
    return translator


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@linux
def test_workers_translate_as_one_process_does(models: Models, remote: Models) -> None:
    local, service = Service(models, Limits(gather=0.001)), Service(remote, Limits(gather=0.001))
    texts = sentences(30, 5)
    body = {"q": texts[0], "source": "en", "target": "de", "alternatives": 2}
    forced = {**body, "q": "one two.", "target_text": "eins zwei."}
    try:
        answers = ask_all(
            service, [("POST", "/translate", {"json": {"q": text, "source": "en", "target": "de"}}) for text in texts]
        )
        assert [answer.json()["translatedText"] for answer in answers] == [reference(text) for text in texts]
        for path, json in (("/translate", body), ("/attention", body), ("/attention", forced)):
            assert ask(service, "POST", path, json=json).json() == ask(local, "POST", path, json=json).json()
        assert ask(service, "GET", "/models").json() == ask(local, "GET", "/models").json()
        metrics = ask(service, "GET", "/metrics").text
    finally:
        local.close()
        service.close()
    assert 'regard_requests_total{endpoint="/translate",status="200"} 31.0' in metrics
    assert "regard_worker_deaths 0.0" in metrics


@linux
def test_workers_share_the_pages_of_the_weights(translator: RemoteTranslator) -> None:
    pages = call_with(translator, probes.weight_pages)
    if not pages:
        pytest.skip("/proc/self/pagemap cannot be read here")
    assert all(pages)


@linux
def test_errors_of_a_worker_arrive(translator: RemoteTranslator) -> None:
    with pytest.raises(DecodingError) as error:
        call_with(translator, probes.fail)
    assert (error.value.message, error.value.where, error.value.fix) == ("no", "line 1", "another line")
    assert "in fail" in error.value.__notes__[0]  # the traceback
    with pytest.raises(RuntimeError, match="UnportableError: 1 and 2"):
        call_with(translator, probes.fail_unportably)


@linux
def test_a_search_is_interrupted_between_two_steps(translator: RemoteTranslator) -> None:
    def check() -> None:
        raise busy("interrupted")

    process = call_with(translator, probes.process_id)
    with pytest.raises(RequestRejected, match="interrupted"):
        call_with(translator.interruptible(check), probes.search_forever)
    assert call_with(translator, probes.process_id) == process
    assert translator.translate("one two").text == "eins zwei"


@linux
def test_workers_that_die_or_hang_are_replaced(
    translator: RemoteTranslator, remote: Models, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def check() -> None:
        raise busy("interrupted")

    with pytest.raises(RuntimeError, match="worker processes ended during the same search"):
        call_with(translator, probes.kill)
    until(lambda: remote.deaths.count == workers.ATTEMPTS)
    monkeypatch.setattr(workers, "CANCEL_TIMEOUT", 0.01)
    with pytest.raises(RequestRejected, match="interrupted"):
        call_with(translator.interruptible(check), probes.hang)
    assert translator.translate("one two").text == "eins zwei"
    until(lambda: len(caplog.messages) == workers.ATTEMPTS + 1)
    assert all("was ended by SIGKILL; a new one replaces it" in message for message in caplog.messages)


@linux
def test_a_process_that_ends_while_it_loads_is_an_error() -> None:
    with pytest.raises(CheckpointError, match="the process that loads the checkpoint ended with exit code 3"):
        ModelProcess(partial(os._exit, 3), "small", 2, Deaths()).start()


@linux
def test_a_model_that_starts_threads_is_refused() -> None:
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        with pytest.raises(ConfigError, match="started threads"):
            model_process._check_threads()
    finally:
        ended.set()
        thread.join()


def test_errors_of_loading_can_be_sent() -> None:
    error = pickle.loads(pickle.dumps(CheckpointError("broken", where="runs/mine", fix="another")))
    assert (error.message, error.where, error.fix) == ("broken", "runs/mine", "another")


def test_workers_need_linux_and_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    check_workers(1, "cuda")
    monkeypatch.setattr(sys, "platform", "linux")
    check_workers(2, "cpu")
    monkeypatch.setattr(workers, "choose_device", lambda name: torch.device("cuda"))
    with pytest.raises(ConfigError, match="the device is cuda"):
        check_workers(2, "auto")
    for platform in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", platform)
        with pytest.raises(ConfigError, match="need Linux"):
            check_workers(2, "cpu")
