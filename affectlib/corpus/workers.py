"""Labelling in several processes, or on a Ray cluster, with the results in order.

Every worker loads its own classifier, with its share of the cores, and gets one buffer of
conversations after the other.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Any, Protocol, TypeAlias

from affectlib._batching import in_buffers
from affectlib._default import Classifier, load_once
from affectlib._extras import requires_extra, switch_off
from affectlib._inputs import Item
from affectlib.corpus.manifest import differences, model_facts
from affectlib.corpus.processes import running
from affectlib.corpus.rows import Outcome
from affectlib.errors import AffectlibError, OptionError, WorkerError
from affectlib.model.engines.cores import count_cores

Label: TypeAlias = Callable[[Iterable[Item]], Generator[Outcome]]
"""Labels conversations as they come, in order."""

_WAITING = 2
_PATIENCE = 10.0
_LOCAL = "local"


class _Result(Protocol):
    def result(self) -> list[Outcome]: ...


class Labeller:
    """What a worker holds: a classifier of its own.

    Args:
        options: Arguments of `AffectClassifier.from_pretrained`.
        facts: What `model_facts` says in the process that writes the rows.
    """

    def __init__(self, options: Mapping[str, Any], facts: Mapping[str, str]) -> None:
        self._options = options
        self._facts = facts

    def label(self, buffer: list[Item]) -> list[Outcome]:
        """Label a buffer of conversations."""
        return [*self._classifier.stream(buffer, on_error="record")]

    @cached_property
    def _classifier(self) -> Classifier:
        classifier = load_once(**self._options)
        if changes := differences(self._facts, model_facts(classifier.artifact)):
            raise WorkerError(
                f"a worker on {socket.gethostname()} would label differently "
                f"({'; '.join(changes)}); use the same version of affectlib and of the model "
                "everywhere"
            )
        return classifier


def label_here(classifier: Classifier) -> Label:
    """Return what labels in this process."""

    def label(items: Iterable[Item]) -> Generator[Outcome]:
        yield from classifier.stream(items, on_error="record")

    return label


def label_with_processes(classifier: Classifier, workers: int) -> Label:
    """Return what labels in at most so many processes of this machine."""
    options = {**classifier.options, "threads": max(1, count_cores() // workers)}
    load = partial(_load, options, model_facts(classifier.artifact))

    def label(items: Iterable[Item]) -> Generator[Outcome]:
        with running(load, workers) as submit:
            yield from _in_order(items, submit, workers)

    return label


def label_on_ray(classifier: Classifier, workers: int, address: str) -> Label:
    """Return what labels with actors on a Ray cluster.

    Args:
        classifier: What each of them loads; a model's folder must be there on every node.
        workers: How many at most.
        address: ``local`` for this machine only, or the address of a cluster.
    """
    switch_off(ray_on_loopback=address == _LOCAL)
    with requires_extra("ray"):
        import ray

    threads = max(1, count_cores() // workers)
    options = {**classifier.options, "threads": threads}
    facts = model_facts(classifier.artifact)

    def label(items: Iterable[Item]) -> Generator[Outcome]:
        with _connected(ray, address):
            on_gpu = str(classifier.device).startswith("cuda")
            needs = {"num_cpus": threads, "num_gpus": 1 if on_gpu else 0}
            actor = ray.remote(**needs)(Labeller)
            actors: deque[Any] = deque()

            def submit(buffer: list[Item]) -> _Result:
                if len(actors) < workers:
                    actors.append(actor.remote(options, facts))
                actors.rotate()
                result: _Result = actors[0].label.remote(buffer).future()
                return result

            try:
                yield from _in_order(items, submit, workers)
            except ray.exceptions.RayActorError as error:
                raise WorkerError(
                    "an actor on Ray died before it was done; continue with `resume=True`"
                ) from error
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, AffectlibError):
                    raise error.cause from error
                raise

    return label


def _in_order(
    items: Iterable[Item], submit: Callable[[list[Item]], _Result], workers: int
) -> Iterator[Outcome]:
    """Submit buffers, a bounded number ahead, and yield their results in order."""
    waiting: deque[_Result] = deque()
    for buffer in in_buffers(items, growing=True):
        waiting.append(submit(buffer))
        if len(waiting) > workers * _WAITING:
            yield from waiting.popleft().result()
    while waiting:
        yield from waiting.popleft().result()


@contextmanager
def _connected(ray: Any, address: str) -> Iterator[None]:
    """Connect to a cluster unless this process is connected already."""
    if ray.is_initialized():
        yield
        return
    if address == _LOCAL:
        ray.init(
            address=address, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
        )
    else:
        _require_answer(address)
        ray.init(address=address, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Refuse an address where nothing listens; Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except OSError as error:
        raise OptionError(f"no Ray cluster answers at {address!r} ({error})") from error


def _load(
    options: Mapping[str, Any], facts: Mapping[str, str]
) -> Callable[[list[Item]], list[Outcome]]:
    return Labeller(options, facts).label
