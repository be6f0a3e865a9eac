"""How fast a corpus is labelled, how much memory it takes, and what others need for the same.

Run as ``python -m tools.benchmarks.throughput [--data FILE …] [--model FOLDER] [--only NAME …]
[--json FILE]`` on a machine with nothing else to do. Everything is measured in one run, so that
ratios hold; each table is printed as soon as it is measured, and the same is written as JSON.
Transcripts are those of ``--data``, or the examples. Where the model has a screen, everything is
measured with it and without.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation
from affectlib.corpus.label_file import label_file
from affectlib.formats import read_conversations
from affectlib.model.artifacts import DEFAULT_MODEL, load_artifact
from affectlib.model.encoding import Batch, EncodedWindow, WindowEncoder, token_batches
from affectlib.model.engines import Engine, load_engine
from affectlib.model.engines.cores import count_cores
from affectlib.model.scoring import CPU_BATCH_TOKENS
from affectlib.model.screen import Screen
from tools.benchmarks.stages import card_rate, cost, measure_stages

ROOT = Path(__file__).parents[2]
_SAMPLE = ROOT / "examples" / "transcripts.jsonl"
_PEAK_SIZE = 2048
_INSTRUCTIONS = ("amx", "avx512_bf16", "avx512_vnni", "avx_vnni")
_PRECISIONS = ("float32", "bfloat16")


def timed(work: Callable[[], Any], repeats: int = 3) -> float:
    """Return the shortest of several durations in seconds, after one to warm up."""
    work()
    durations = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        durations.append(time.perf_counter() - begun)
    return min(durations)


class Bench:
    """What the measurements share: the transcripts, their windows, the engine."""

    def __init__(self, data: Path, conversations: int, model: str) -> None:
        found = [item for item in read_conversations(data) if isinstance(item, Conversation)]
        found = found[:conversations]
        self.model = model
        self.artifact = load_artifact(model)
        self.screen = Screen.load(self.artifact)
        self.encoder = WindowEncoder(self.artifact.file("tokenizer.json"), self.artifact.windows)
        self.engine: Engine = load_engine(self.artifact, device="cpu")
        self.conversations = found
        self.windows = distinct(self.encoder.encode(found))
        self.file = Path(tempfile.mkdtemp()) / "transcripts.jsonl"
        write_copies(found, self.file, len(found))

    def run_engine(self) -> None:
        for batch in self.batches():
            self.engine.logits(batch.ids, batch.mask, batch.turns)

    def run_text(self, *, screen: bool) -> None:
        """Cut the text into windows of tokens, and run on each what reads it."""
        groups = self.encoder.encode(self.conversations)
        for batch in self._batches(distinct(self._left(groups) if screen else groups)):
            self.engine.logits(batch.ids, batch.mask, batch.turns)

    def asked(self) -> int:
        """Return how many windows the screen leaves to the encoder."""
        return len(distinct(self._left(self.encoder.encode(self.conversations))))

    def batches(self) -> list[Batch]:
        return self._batches(self.windows)

    def _left(self, groups: list[list[EncodedWindow]]) -> list[list[EncodedWindow]]:
        """Return the windows of the conversations that the screen does not settle."""
        settled = {} if self.screen is None else self.screen.prefilter(groups)
        return [group for place, group in enumerate(groups) if place not in settled]

    def _batches(self, windows: list[EncodedWindow]) -> list[Batch]:
        pad = self.encoder.pad_id
        return [*token_batches(windows, max_tokens=CPU_BATCH_TOKENS, pad_id=pad)]


def distinct(groups: list[list[EncodedWindow]]) -> list[EncodedWindow]:
    """Return the windows without repetitions, as no competitor skips those."""
    return [*{tuple(window.ids): window for group in groups for window in group}.values()]


def write_copies(conversations: list[Conversation], path: Path, records: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        for number, chat in zip(range(records), itertools.cycle(conversations), strict=False):
            messages = [{"role": m.role, "content": m.content} for m in chat.messages]
            file.write(json.dumps({"id": f"{number}", "messages": messages}) + "\n")


def against_others(bench: Bench) -> dict[str, float]:
    """The same windows and weights in transformers' pipeline, and in a loop of torch.

    From text to logits, tokens included; the loop of torch is given the tokens.
    """
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

    folder = str(bench.artifact.folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [tokenizer.decode(window.ids[1:-1]) for window in bench.windows]
    result = {"affectlib": bench_rate(bench, timed(lambda: bench.run_text(screen=False), 1))}
    if bench.screen is not None:
        screened = timed(lambda: bench.run_text(screen=True), 1)
        result["affectlib, with the screen"] = bench_rate(bench, screened)
    for dtype, size in itertools.product(_PRECISIONS, (1, 8, 32)):
        classify = pipeline(
            "text-classification",
            model=folder,
            device="cpu",
            dtype=dtype,
            top_k=None,
            batch_size=size,
        )
        seconds = timed(lambda run=classify: run(texts, truncation=True), 1)
        result[f"pipeline, {dtype}, batch_size={size}"] = bench_rate(bench, seconds)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    batches = [(torch.from_numpy(b.ids), torch.from_numpy(b.mask)) for b in bench.batches()]

    def loop() -> None:
        with torch.inference_mode():
            for ids, mask in batches:
                model(input_ids=ids, attention_mask=mask)

    result["torch, sorted batches"] = bench_rate(bench, timed(loop, 1))
    for dtype in _PRECISIONS:
        best = max(rate for name, rate in result.items() if f"pipeline, {dtype}" in name)
        result[f"ratio to the best pipeline, {dtype}"] = result["affectlib"] / best
        if bench.screen is not None:
            ratio = result["affectlib, with the screen"] / best
            result[f"ratio to the best pipeline, {dtype}, with the screen"] = ratio
    result["ratio to torch"] = result["affectlib"] / result["torch, sorted batches"]
    return result


def bench_rate(bench: Bench, seconds: float) -> float:
    return len(bench.conversations) / seconds


def whole_command(bench: Bench) -> dict[str, float]:
    """Reading, tokenising and writing included, against the engine alone on ready batches."""
    target = bench.file.with_name("labels.parquet")

    def label(screen: bool) -> None:
        # A new classifier each time: it remembers windows that it has seen.
        classifier = AffectClassifier(bench.artifact, bench.engine, screen=screen)
        label_file(bench.file, target, classifier=classifier, level="both", overwrite=True)

    engine, whole = timed(bench.run_engine), timed(lambda: label(False))
    result = {
        "only the engine": bench_rate(bench, engine),
        "label_file": bench_rate(bench, whole),
        "share of the engine": engine / whole,
    }
    if bench.screen is not None:
        screened = timed(lambda: label(True))
        result["label_file, with the screen"] = bench_rate(bench, screened)
        result["ratio with the screen"] = whole / screened
    return result


def engines(bench: Bench) -> dict[str, float]:
    """The engines for CPUs on ready batches, without the screen."""
    batches = bench.batches()
    result = {}
    for name in ("onnx", "openvino"):
        engine = load_engine(bench.artifact, engine=name, device="cpu")
        seconds = timed(lambda run=engine.logits: [run(b.ids, b.mask, b.turns) for b in batches])
        result[name] = bench_rate(bench, seconds)
    return result | {"ratio of openvino": result["openvino"] / result["onnx"]}


def machine_limit(bench: Bench) -> dict[str, float]:
    """The engine's share of what the machine can multiply, in billions of operations a second."""
    rng = np.random.default_rng(0)
    result = {"engine": 2 * products(bench) / timed(bench.run_engine) / 1e9}
    for name, seconds in (("int8", int8_peak(rng)), ("bf16", bf16_peak(rng))):
        result[f"{name} peak"] = 2 * _PEAK_SIZE**3 / seconds / 1e9
        result[f"share of {name}"] = result["engine"] / result[f"{name} peak"]
    return result


def products(bench: Bench) -> float:
    """Count the multiplications of the encoder on the windows: those with weights."""
    config = json.loads(bench.artifact.file("config.json").read_text(encoding="utf-8"))
    width, inner = config["hidden_size"], config["intermediate_size"]
    each = config["num_hidden_layers"] * (4 * width * width + 2 * width * inner)
    return each * sum(len(window.ids) for window in bench.windows)


def int8_peak(rng: np.random.Generator) -> float:
    """Time one product of two integer matrices under ONNX Runtime, in seconds."""
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    size = _PEAK_SIZE
    weights = rng.integers(-127, 127, (size, size)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "peak",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [size, size])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count_cores()
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"x": rng.integers(0, 255, (size, size)).astype(np.uint8)}
    return timed(lambda: session.run(None, feed))


def bf16_peak(rng: np.random.Generator) -> float:
    """Time one product of two bf16 matrices under torch, in seconds."""
    import torch

    size = (_PEAK_SIZE, _PEAK_SIZE)
    a = torch.from_numpy(rng.standard_normal(size, dtype=np.float32)).bfloat16()
    return timed(lambda: a @ a)


def stages(bench: Bench) -> dict[str, float]:
    """Where the time goes, on one core."""
    result = measure_stages(bench.artifact, bench.file, screen=False).figures()
    if bench.screen is not None:
        screened = measure_stages(bench.artifact, bench.file, screen=True).figures()
        result |= {f"{name}, with the screen": value for name, value in screened.items()}
    return result


def costs(bench: Bench) -> dict[str, float]:
    """Hours for ten million such conversations; the table of the page on cost."""
    cores = count_cores()
    rates = scaling_by_cores(bench)
    kept = rates[f"{cores} cores"] / rates["1 core"] / cores if cores > 1 else 1.0
    windows, pad = bench.windows, bench.encoder.pad_id
    rate = card_rate(bench.artifact, windows, pad)
    result = {"share of its speed that each core keeps": kept}
    if rate is not None:
        result["tokens a second of the graphics card"] = rate
    for name, screen in (("without a screen", False), ("with the screen", True)):
        if not screen or bench.screen is not None:
            found = measure_stages(bench.artifact, bench.file, screen=screen)
            result |= {f"{machine}, {name}: h": h for machine, h in cost(found, kept, rate)}
    return result


def memory(bench: Bench, sizes: tuple[int, ...], *, cache: bool) -> dict[str, float]:
    """Peak memory in MB and time a conversation, in processes of their own.

    Conversations are repeated, so that without the cache the time is that of different ones.
    """
    result = {}
    for size in sizes:
        source = bench.file.with_name(f"{size}.jsonl")
        write_copies(bench.conversations, source, size)
        code = (
            "import sys, time; from affectlib import AffectClassifier, label_file;"
            "from affectlib.model.scoring import WindowCache;"
            "from tools.benchmarks.throughput import peak_memory;"
            "classifier = AffectClassifier.from_pretrained(sys.argv[2]);"
            "classifier._known = classifier._known if sys.argv[3] else WindowCache(size=0);"
            "begun = time.perf_counter();"
            "label_file(sys.argv[1], sys.argv[1] + '.parquet', classifier=classifier);"
            "print(time.perf_counter() - begun, peak_memory())"
        )
        seconds, peak = map(
            float, python("-c", code, str(source), bench.model, "1" if cache else "").split()
        )
        result[f"{size:,} conversations: MB"] = peak
        result[f"{size:,} conversations: ms each"] = 1000 * seconds / size
    return result


def peak_memory() -> float:
    """Return the most memory that this process has had, in MB."""
    status = Path("/proc/self/status")
    if status.exists():  # the other way counts what the parent had when it forked
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return float(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def start(bench: Bench) -> dict[str, float]:
    """Seconds from nothing to an answer, and of only the import."""
    idle = timed(lambda: python("-c", "pass"))
    cold = timed(lambda: python("-m", "affectlib.cli", "predict", "hi", "--model", bench.model))
    return {
        "affectlib predict": cold,
        "import affectlib": timed(lambda: python("-c", "import affectlib")) - idle,
    }


def scaling_by_cores(bench: Bench) -> dict[str, float]:
    """Conversations a second by the number of cores that one process may use, start excluded."""
    source = bench.file
    code = (
        "import os, sys, time; os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))"
        "[: int(sys.argv[3])]);"
        "from affectlib import AffectClassifier, label_file;"
        "classifier = AffectClassifier.from_pretrained(sys.argv[2], device='cpu');"
        "classifier.predict(['hello', 'sort this list']);"
        "begun = time.perf_counter();"
        "label_file(sys.argv[1], sys.argv[1] + '.parquet', classifier=classifier, overwrite=True);"
        "print(time.perf_counter() - begun)"
    )
    result = {}
    for cores in sorted({1, 2, count_cores()} & {*range(1, count_cores() + 1)}):
        took = float(python("-c", code, str(source), bench.model, str(cores)))
        result[f"{cores} core{'s' if cores > 1 else ''}"] = bench_rate(bench, took)
    return result


def scaling(bench: Bench) -> dict[str, float]:
    """Conversations a second of one process, of two, and of two actors of Ray, start included."""
    source = bench.file.with_name("scaling.jsonl")
    write_copies(bench.conversations, source, 4 * len(bench.conversations))
    target = str(source.with_suffix(".parquet"))
    command = ("-m", "affectlib.cli", "label", str(source), "-o", target, "--overwrite", "--quiet")
    command = (*command, "--model", bench.model)
    result = scaling_by_cores(bench)
    ways = {"1 process": (), "2 workers": ("--workers", "2")}
    if importlib.util.find_spec("ray") is not None:
        ways["2 actors of Ray"] = ("--ray", "local", "--workers", "2")
    for name, options in ways.items():
        seconds = timed(lambda more=options: python(*command, *more), 1)
        result[name] = 4 * bench_rate(bench, seconds)
    return result | {f"ratio of {name}": result[name] / result["1 process"] for name in [*ways][1:]}


def python(*arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {done.stderr}")
    return done.stdout


def describe_machine() -> dict[str, Any]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    return {
        "processor": names[0] if names else platform.processor(),
        "instructions": " ".join(flag for flag in flags if flag.startswith(_INSTRUCTIONS)),
        "cores": count_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }


def show(section: str, figures: dict[str, Any]) -> Iterator[str]:
    yield f"\n{section}"
    for name, figure in figures.items():
        text = f"{figure:>12,.3f}" if isinstance(figure, float) else f"  {figure}"
        yield f"  {name:<52}{text}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, nargs="+", default=[_SAMPLE])
    parser.add_argument("--model", default=DEFAULT_MODEL, help="name or folder of the model")
    parser.add_argument("--no-cache", action="store_true", help="in the memory measurement")
    parser.add_argument("--conversations", type=int, default=400, help="of --data, at most")
    parser.add_argument("--sizes", default="1000,10000,100000", help="of the memory measurement")
    sections: dict[str, Callable[[Bench], dict[str, float]]] = {
        "others": against_others,
        "engines": engines,
        "command": whole_command,
        "limit": machine_limit,
        "stages": stages,
        "memory": lambda bench: memory(bench, sizes, cache=not arguments.no_cache),
        "start": start,
        "scaling": scaling,
        "cost": costs,
    }
    parser.add_argument("--only", nargs="+", choices=[*sections])
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    sizes = tuple(map(int, arguments.sizes.split(",")))
    results: dict[str, dict[str, Any]] = {}

    def record(name: str, figures: dict[str, Any]) -> None:
        # At once, as a run takes long.
        results[name] = figures
        print(*show(name, figures), sep="\n", flush=True)
        if arguments.json is not None:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")

    record("machine", describe_machine())
    for data in arguments.data:
        bench = Bench(data, arguments.conversations, arguments.model)
        name = data.name.partition(".")[0]
        counts = {"conversations": len(bench.conversations), "windows": len(bench.windows)}
        record(name, counts)
        for section in arguments.only or sections:
            record(f"{name}: {section}", sections[section](bench))


if __name__ == "__main__":
    main()
