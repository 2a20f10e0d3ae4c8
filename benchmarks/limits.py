"""Measure what else is said to make training fast, beside what the trainer does.

    python benchmarks/limits.py

`QuickNet` is trained for an epoch of 12,800 digits in each way, in turns; the median of
five counts, as the seconds for 60,000. Compiling is timed apart. Then processes of
their own are timed, after a short run that warms them up: one; one that gives back to
Linux what a step frees; and two at once, as in two notebooks, which share two cores by
threads of their own or take one each. Writes to results/results.json; `python
tools/results.py --fill` writes the table.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from bench import BATCH, timed
from seconds import TIMED, TURNS, from_memory
from torch import nn
from torch.nn import functional as F

sys.path.append(str(Path(__file__).parents[1]))
from mnist_lesson import Digits, QuickNet, load_mnist
from mnist_lesson.system import keep_freed_memory
from tools.results import RESULTS, save

ALL = 60_000  # digits
RUN = """
import sys, time, torch
import mnist_lesson
torch.set_num_threads(int(sys.argv[1]))
digits = mnist_lesson.load_mnist(source="full", validation=0).train[:int(sys.argv[2])]
trainer = mnist_lesson.Trainer(mnist_lesson.QuickNet(), device="cpu")
if sys.argv[3] == "given back":
    mnist_lesson.training.keep_freed_memory = lambda: None
trainer.fit(digits[:1280], epochs=1)
start = time.perf_counter()
trainer.fit(digits, epochs=1)
print(time.perf_counter() - start)
"""


def epoch(
    model: nn.Module, digits: Digits, fused: bool = True, mixed: bool = False
) -> None:
    """Take the trainer's steps in a bare loop."""
    optimizer = torch.optim.SGD(
        model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4,
        fused=fused,
    )  # fmt: skip
    model.train()
    for images, labels in from_memory(digits, BATCH, last=True):
        with torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
            cost = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        cost.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()


def one_thread(work: Callable[[], None]) -> None:
    """Do it with a single thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        work()
    finally:
        torch.set_num_threads(threads)


def time_ways() -> dict[str, float]:
    """Time all ways in turns; and what comes before the first compiled epoch."""
    digits = load_mnist(source="full", validation=0).train[:TIMED]
    plain = QuickNet().to(memory_format=torch.channels_last)
    compiled = torch.compile(QuickNet().to(memory_format=torch.channels_last))
    ways = {
        "as in the trainer": lambda: epoch(plain, digits),
        "optimizer not fused": lambda: epoch(plain, digits, fused=False),
        "bfloat16": lambda: epoch(plain, digits, mixed=True),
        "one thread": lambda: one_thread(lambda: epoch(plain, digits)),
        "torch.compile": lambda: epoch(compiled, digits),
    }
    with tempfile.TemporaryDirectory() as cache:  # what was compiled before is known
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        first = timed(ways["torch.compile"])
    seconds = {way: [] for way in ways}
    for _ in range(TURNS):
        for way, work in ways.items():
            seconds[way].append(timed(work))
    medians = {way: statistics.median(times) for way, times in seconds.items()}
    found = {way: spent * ALL / TIMED for way, spent in medians.items()}
    return found | {"compiling, once (not scaled)": first - medians["torch.compile"]}


def time_runs(count: int, threads: int, memory: str = "kept") -> float:
    """Train in `count` processes at once, with `threads` each; give the longest time.

    What a step frees is `kept`, or `given back` to Linux.
    """
    command = [sys.executable, "-c", RUN, str(threads), str(TIMED), memory]
    runs = [
        subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8")
        for _ in range(count)
    ]
    return max(float(run.communicate()[0]) for run in runs) * ALL / TIMED


def main() -> None:
    """Measure and save."""
    keep_freed_memory()
    ways = {
        "a single run, two threads": (1, 2),
        "the same, memory given back to Linux": (1, 2, "given back"),
        "two runs at once, one thread each": (2, 1),
        "two runs at once, two threads each": (2, 2),
    }
    loop, seconds = time_ways(), {way: [] for way in ways}
    for _ in range(TURNS):
        for way, run in ways.items():
            seconds[way].append(time_runs(*run))
    trainer = {way: statistics.median(times) for way, times in seconds.items()}
    for way, spent in (loop | trainer).items():
        print(f"{way}: {spent:.2f} s", flush=True)
    results = json.loads(RESULTS.read_text("utf-8"))
    results["limits"] = {"loop": loop, "trainer": trainer}
    save(results)


if __name__ == "__main__":
    main()
