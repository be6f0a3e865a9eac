"""One classifier in many threads, event loops, forked children and spawned processes."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from affectlib.classifier import AffectClassifier
from affectlib.corpus.label_file import label_file
from tests.conftest import SINGLE_MESSAGE, TASK, WORDS, user
from tests.transcript_files import chat, lines, write

THREADS = 8


def jobs(count):
    """Conversations that share some of their words, so that threads meet in the cache."""
    return [
        [user(" ".join(WORDS[(i * k) % len(WORDS)] for k in range(1, 2 + i % 9))), user(TASK)]
        for i in range(count)
    ]


@pytest.fixture
def classifier(tiny_folder):
    return AffectClassifier.from_pretrained(tiny_folder, device="cpu", engine="onnx", threads=2)


@pytest.fixture
def alone(tiny_folder):
    """What a classifier finds that nobody else uses."""
    fresh = AffectClassifier.from_pretrained(tiny_folder, device="cpu", engine="onnx", threads=1)
    return [fresh.predict(job) for job in jobs(40)]


def test_threads_share_a_classifier(classifier, alone):
    def work(start):
        order = [(start + i) % 40 for i in range(40)]
        found = {place: classifier.predict(jobs(40)[place]) for place in order}
        streamed = [*classifier.stream(jobs(40))]
        return [found[place] for place in range(40)], streamed

    with ThreadPoolExecutor(THREADS) as pool:
        for found, streamed in pool.map(work, range(THREADS)):
            assert found == alone
            assert streamed == alone


def test_an_event_loop_shares_a_classifier(classifier, alone):
    async def ask():
        return await asyncio.gather(
            *(asyncio.to_thread(classifier.predict, job) for job in jobs(40))
        )

    assert asyncio.run(ask()) == alone


def test_threads_label_files_side_by_side(classifier, tmp_path):
    src = write(
        tmp_path, lines(*(chat(SINGLE_MESSAGE if i % 2 else TASK, id=f"{i}") for i in range(50)))
    )

    def work(number):
        dst = tmp_path / f"{number}.jsonl"
        label_file(src, dst, classifier=classifier)
        return dst.read_text()

    with ThreadPoolExecutor(THREADS) as pool:
        assert len({*pool.map(work, range(THREADS))}) == 1


def in_a_fork(function):
    """Return what a function returns in a forked child; fails if that hangs."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of any fork
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.alarm(60)
            os.write(writing, json.dumps(function()).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as answer:
        found = answer.read()
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_a_forked_child_predicts_and_so_does_its_parent(classifier, alone):
    first = [classifier.predict(job).probability for job in jobs(20)]
    parent = classifier._engine._session

    def work():
        found = [classifier.predict(job).probability for job in jobs(40)]
        assert classifier._engine._session is not parent
        return found

    with classifier._known._lock:  # as if another thread were at work at this moment
        found = in_a_fork(work)
    assert found == [prediction.probability for prediction in alone]
    assert classifier._engine._session is parent
    assert first == found[:20]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_children_of_a_busy_process_do_not_hang(classifier, alone):
    stopped = False

    def work():
        while not stopped:
            for job in jobs(40):
                classifier._known.take([])
                assert classifier.predict(job) in alone

    with ThreadPoolExecutor(3) as pool:
        busy = [pool.submit(work) for _ in range(3)]
        try:
            for _ in range(5):
                found = in_a_fork(lambda: [classifier.predict(job).label for job in jobs(40)])
                assert found == [prediction.label for prediction in alone]
        finally:
            stopped = True
        for future in busy:
            future.result()


def test_a_pickle_holds_no_weights(classifier, alone, tiny_folder):
    pickled = pickle.dumps(classifier)
    assert len(pickled) < 1000
    copy = pickle.loads(pickled)
    assert copy.artifact.fingerprint == classifier.artifact.fingerprint
    assert copy._engine is not classifier._engine
    assert [copy.predict(job) for job in jobs(40)] == alone


def test_a_spawned_process_loads_it_by_its_artifact(classifier, alone, tmp_path):
    file = tmp_path / "classifier.pickle"
    file.write_bytes(pickle.dumps(classifier))
    code = (
        "import pickle, sys; from tests.test_concurrency import jobs;"
        "classifier = pickle.load(open(sys.argv[1], 'rb'));"
        "print([classifier.predict(job).probability for job in jobs(40)])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[1],
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [prediction.probability for prediction in alone]
