"""Compare one process with two on this machine, as `book/machines.md` quotes it.

    python benchmarks/machines.py

Each model is trained for an epoch in one process with two threads and in two processes
with one thread each, in turns; the median of three counts. Writes to
results/results.json; then `python tools/results.py --fill` writes the page.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from tools.results import RESULTS, save

MODELS = {"LeNet": "lenet", "softmax regression": "softmax"}
WAYS = {  # how many processes, and threads in each
    "one process with two threads": (1, 2),
    "two processes with one thread each": (2, 1),
}


def start(model: str, folder: Path, processes: int, threads: int) -> subprocess.Popen:
    """Train in so many processes, for one epoch."""
    launcher = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}"]
    return subprocess.Popen(
        [sys.executable, *(launcher if processes > 1 else []), "-m", "mnist_lesson",
         "train", model, "--epochs=1", "--device=cpu", "--source=full", "--json",
         f"--checkpoint-dir={folder}"],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip


def main() -> None:
    """Measure and save."""
    seconds = {name: {way: [] for way in WAYS} for name in MODELS}
    with tempfile.TemporaryDirectory() as home:
        for turn in range(3):
            for name, model in MODELS.items():
                for way, numbers in WAYS.items():
                    folder = Path(home, f"{model}-{turn}-{numbers[0]}")
                    said, _ = start(model, folder, *numbers).communicate()
                    seconds[name][way].append(json.loads(said)["seconds"])
                    print(f"{name}, {way}: {seconds[name][way][-1]:.2f} s", flush=True)
    results = json.loads(RESULTS.read_text("utf-8"))
    results["machines"] = {
        "seconds": {
            name: {way: statistics.median(times) for way, times in ways.items()}
            for name, ways in seconds.items()
        }
    }
    save(results)


if __name__ == "__main__":
    main()
