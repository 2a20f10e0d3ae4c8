"""Break things on purpose, for a bounded time, and see that the course stands it.

    python tools/soak.py [--short] [--only PART] [--jobs N] [--seed N]

trainings   training runs, each killed twice (kill -9) and resumed: to the bit the
            weights and history of one left alone, half of them in a used folder
downloads   downloads of MNIST from this machine to itself, each killed once: no half
            file then, and verified files from the next one
idx         damaged IDX files: each an array or an IdxError
pictures    damaged pictures: each a digit or a HandwritingError; no program is
            started and nothing printed

A damaged file may take 2 seconds and 500 MB. A table is printed, and the figures go
into results/soak.json; --short tries little of each, and keeps nothing. What broke
something stays in a folder that is named, and the exit status is 1.
"""

import argparse
import faulthandler
import functools
import gzip
import hashlib
import io
import json
import os
import platform
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import PIL
import torch
from PIL import Image
from torch import nn

from mnist_lesson import (
    HandwritingError,
    IdxError,
    Trainer,
    example_picture,
    load_digit,
    load_mnist,
    read_idx,
    write_idx,
)
from mnist_lesson._system import atomic_write

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "results" / "soak.json"
TRIES = {"trainings": 20, "downloads": 20, "idx": 1_000_000, "pictures": 20_000}
SHORT = {"trainings": 1, "downloads": 1, "idx": 2_000, "pictures": 200}
MINUTES = 60  # a part that takes longer is given up
SECONDS, MEGABYTES = 2, 500  # that a damaged file may take
HANG = 300  # seconds, after which a process that tries files is ended


@dataclass
class Part:
    """What became of one part's tries."""

    tries: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0  # seconds for one file
    memory: float = 0  # megabytes that a process had at most
    violations: list[str] = field(default_factory=list)
    minutes: float = 0

    def add(self, other: "Part") -> None:
        """Take in what another process found."""
        self.tries += other.tries
        self.outcomes += other.outcomes
        self.slowest = max(self.slowest, other.slowest)
        self.memory = max(self.memory, other.memory)
        self.violations += other.violations


def main(arguments: list[str] | None = None) -> int:
    """Run the parts, print their table and keep their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few seconds of each")
    parser.add_argument("--only", choices=TRIES, help="one part")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    parser.add_argument("--seed", type=int, default=0, help="another one breaks others")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    parts = {}
    print(f"{'':9} {'tries':>9} {'violations':>10} {'slowest':>8} {'memory':>7}   time")
    for name in [options.only] if options.only else TRIES:
        tries = (SHORT if options.short else TRIES)[name]
        start = time.monotonic()
        if name in FILES:
            part = broken_files(name, tries, options.seed, folder, options.jobs)
        else:
            kill = {"trainings": trainings, "downloads": downloads}[name]
            part = kill(tries, random.Random(options.seed), folder)
        if part.tries < tries:
            part.violations.append(f"{name}: only {part.tries:,} of {tries:,} tried")
        part.minutes = (time.monotonic() - start) / 60
        parts[name] = part
        print(line(name, part), flush=True)
    if not options.short:
        keep(parts)
    violations = [text for part in parts.values() for text in part.violations]
    if violations:
        print(*violations, sep="\n")
        print(f"the seed was {options.seed}, what broke something is in {folder}")
    else:
        shutil.rmtree(folder)
    return bool(violations)


def line(name: str, part: Part) -> str:
    """Give a part's line of the table."""
    slowest, memory = f"{part.slowest:.2f} s", f"{part.memory:.0f} MB"
    if name not in FILES:
        slowest = memory = ""
    outcomes = ", ".join(f"{n:,} {what}" for what, n in sorted(part.outcomes.items()))
    return (
        f"{name:9} {part.tries:9,} {len(part.violations):10} {slowest:>8} {memory:>7} "
        f"{part.minutes:4.1f} min: {outcomes}"
    )


def keep(parts: dict[str, Part]) -> None:
    """Write the figures, beside those of parts that were not run this time."""
    figures = json.loads(FIGURES.read_text("utf-8")) if FIGURES.exists() else {}
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pillow": PIL.__version__,
    }
    for name, part in parts.items():
        figures[name] = {
            "tries": part.tries,
            "violations": len(part.violations),
            "outcomes": dict(sorted(part.outcomes.items())),
            "minutes": round(part.minutes, 1),
            "versions": versions,
        }
        if name in FILES:
            figures[name]["slowest, seconds"] = round(part.slowest, 2)
            figures[name]["memory, MB"] = round(part.memory)
    with atomic_write(FIGURES) as temporary:
        temporary.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")


def start(call: str, **environment: str) -> subprocess.Popen[str]:
    """Call one of this module's functions in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from tools.soak import *; {call}"],
        cwd=ROOT, env=os.environ | environment, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


# Training runs


def train(folder: str, seed: int, resume: bool) -> None:
    """Train a little; say when it has begun, and what came out."""
    torch.set_num_threads(1)
    digits = load_mnist(source="sample")
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Dropout(), nn.Linear(128, 10)
    )
    begun = functools.cache(lambda: print("begun", flush=True))  # once
    history = Trainer(model, device="cpu").fit(
        digits.train[:2_000],
        digits.validation,
        epochs=10,
        event_handler=lambda event: begun(),
        checkpoint_dir=folder,
        resume=resume,
        seed=seed,
    )
    weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    print(hashlib.sha256(weights).hexdigest(), list(history))


def trainings(tries: int, rng: random.Random, folder: Path) -> Part:
    """Kill training runs twice each, at any moment from the first batch on."""
    part, end = Part(), time.monotonic() + 60 * MINUTES
    while part.tries < tries and time.monotonic() < end:
        seed, used = rng.randrange(2**32), part.tries % 2 == 0
        place, alone, older = (
            folder / f"{n}-{seed}" for n in ("run", "alone", "older")
        )
        older.mkdir()
        if used:
            start(f"train({str(older)!r}, {seed + 1}, False)").communicate()
        process = start(f"train({str(alone)!r}, {seed}, False)")
        process.stdout.readline()
        begun = time.monotonic()
        wanted = process.stdout.readline()
        seconds = time.monotonic() - begun
        process.communicate()
        shutil.copytree(older, place)
        while not killed_twice(place, seed, seconds, rng, part):
            shutil.rmtree(place)  # it was quicker than we: once more
            shutil.copytree(older, place)
            seconds *= 0.8
        found, errors = start(f"train({str(place)!r}, {seed}, True)").communicate()
        part.tries += 1
        part.outcomes["in a used folder"] += used
        # Nothing begins where it was killed after its last epoch.
        if wanted and found.removeprefix("begun\n") == wanted:
            part.outcomes["identical"] += 1
            for path in (place, alone, older):
                shutil.rmtree(path)
        else:
            part.violations.append(
                f"{place}: expected {wanted!r} as in {alone}, found {found!r} {errors}"
            )
    return part


def killed_twice(
    place: Path, seed: int, seconds: float, rng: random.Random, part: Part
) -> bool:
    """Begin and resume a training run, and kill it both times, if it is not faster."""
    unfinished = 0
    for resume in (False, True):
        process = start(f"train({str(place)!r}, {seed}, {resume})")
        process.stdout.readline()
        before = {*place.glob(".*")}
        moment = rng.uniform(0, seconds)
        seconds -= moment  # that it still needs, more or less
        time.sleep(moment)
        if rng.random() < 0.3:  # wait until a checkpoint is being written
            while process.poll() is None and before >= {*place.glob(".*")}:
                pass
        process.kill()
        if process.communicate()[0]:  # its result
            return False
        unfinished += len({*place.glob(".*")} - before)
    part.outcomes["kills"] += 2
    part.outcomes["kills in the middle of a checkpoint"] += unfinished
    return True


# Downloads


class Mirror(BaseHTTPRequestHandler):
    """Send the server's files, not too fast to be interrupted."""

    def do_HEAD(self) -> None:
        """Say that we are there."""
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        """Send a file, all of them together in about two seconds."""
        self.server.asked.set()
        data = self.server.files[self.path.removeprefix("/")]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        piece = 1 + sum(map(len, self.server.files.values())) // 200
        with suppress(OSError):  # the other side was killed
            for first in range(0, len(data), piece):
                self.wfile.write(data[first : first + piece])
                time.sleep(0.01)

    def log_message(self, *args: object) -> None:
        """Be quiet."""


def fetch(mirror: str, sha256: dict[str, str]) -> None:
    """Download all into the cache, as `load_mnist` does."""
    from mnist_lesson import download

    download.MIRRORS[:] = [mirror]
    download.SHA256.update(sha256)
    load_mnist(source="full")


def downloads(tries: int, rng: random.Random, folder: Path) -> Part:
    """Kill downloads at any moment from the first request on; then try again."""
    part, end = Part(), time.monotonic() + 60 * MINUTES
    source = Path(os.environ.get("MNIST_LESSON_DATA") or ROOT / "mnist_lesson/sample")
    if tries == SHORT["downloads"]:
        source = ROOT / "mnist_lesson/sample"
    server = ThreadingHTTPServer(("127.0.0.1", 0), Mirror)
    server.asked, server.files, sha256 = threading.Event(), {}, {}
    for path in source.glob("*-ubyte*"):
        data = path.read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        name = path.name.removesuffix(".gz")
        server.files[f"{name}.gz"] = gzip.compress(data, 1)
        sha256[name] = hashlib.sha256(data).hexdigest()
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def begin(cache: Path) -> subprocess.Popen[str]:
        server.asked.clear()
        return start(
            f"fetch('http://127.0.0.1:{server.server_port}/', {sha256})",
            MNIST_LESSON_DATA="", NO_PROXY="127.0.0.1",
            **dict.fromkeys(["XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"], str(cache)),
        )  # fmt: skip

    def verified(cache: Path) -> list[bool]:
        return [
            hashlib.sha256(path.read_bytes()).hexdigest() == sha256[path.name]
            for name in sha256
            for path in cache.rglob(name)
            if not path.parent.name.startswith(".")  # still being downloaded
        ]

    seconds = 3.0
    while part.tries < tries and time.monotonic() < end:
        cache = folder / f"cache-{part.tries}"
        cache.mkdir()
        process = begin(cache)
        server.asked.wait(60)
        time.sleep(rng.uniform(0, seconds))
        process.kill()
        errors = process.communicate()[1]
        if process.returncode == 0:  # it was faster than we
            seconds *= 0.9
            shutil.rmtree(cache)
            continue
        kept = verified(cache)
        process = begin(cache)
        errors += process.communicate()[1]
        part.tries += 1
        part.outcomes["kept from the killed one"] += len(kept)
        if all(kept) and process.returncode == 0 and verified(cache) == [True] * 4:
            part.outcomes["verified"] += 1
            shutil.rmtree(cache)
        else:
            part.violations.append(f"{cache}: whole after the kill: {kept}; {errors}")
    server.shutdown()
    return part


# Damaged files


def broken_files(name: str, tries: int, seed: int, folder: Path, jobs: int) -> Part:
    """Try files in several processes."""
    part, end = Part(), time.monotonic() + 60 * MINUTES
    step = max(1, min(500, tries // (4 * jobs)))
    with ProcessPoolExecutor(jobs) as pool:
        chunks = [
            pool.submit(broken, name, range(n, min(n + step, tries)), seed, folder)
            for n in range(0, tries, step)
        ]
        try:
            for chunk in chunks:
                part.add(chunk.result(max(0, end - time.monotonic())))
        except TimeoutError:
            pool.shutdown(cancel_futures=True)
        except BrokenProcessPool:
            part.violations.append(f"a process died; see {folder}/{name}-at-work-*")
    return part


def broken(name: str, numbers: range, seed: int, folder: Path) -> Part:
    """Try files in this process, one after the other."""
    make, attempt = FILES[name]
    started, part = watch(), Part()
    started.clear()
    path = folder / f"{name}-at-work-{os.getpid()}"
    log = folder / f"printed-{os.getpid()}"
    outputs = [os.dup(1), os.dup(2)]  # where decoders in C print to
    faulthandler.dump_traceback_later(HANG, exit=True, file=outputs[1])
    sys.stdout.flush()
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        try:
            for number in numbers:
                rng = random.Random(f"{seed} {number}")
                path.write_bytes(make(rng))
                clocks = time.perf_counter, time.process_time
                began = [clock() for clock in clocks]
                wrong = []
                try:
                    part.outcomes[attempt(path, rng)] += 1
                except Exception as error:
                    wrong.append(repr(error))
                # By the processor's clock, where other work held this one up.
                took = min(c() - b for c, b in zip(clocks, began, strict=True))
                memory = peak_memory()
                printed = os.fstat(1).st_size
                wrong += [f"{took:.1f} seconds"] * (took > SECONDS)
                wrong += [f"{memory:.0f} MB"] * (memory > max(MEGABYTES, part.memory))
                wrong += [f"printed {log.read_text('utf-8', 'replace')!r}"] * (
                    printed > 0
                )
                wrong += started
                if wrong:
                    kept = shutil.copy(path, folder / f"{name}-{number}")
                    part.violations.append(f"{kept}: {', '.join(wrong)}")
                os.ftruncate(1, 0)
                started.clear()
                part.tries += 1
                part.slowest = max(part.slowest, took)
                part.memory = max(part.memory, memory)
        finally:
            faulthandler.cancel_dump_traceback_later()
            for number, output in enumerate(outputs, 1):
                os.dup2(output, number)
                os.close(output)
    path.unlink()
    log.unlink()
    return part


@functools.cache
def watch() -> list[str]:
    """Give a list into which goes every program that this process starts."""
    started = []
    ways = {"os.exec", "os.fork", "os.posix_spawn", "os.startfile", "os.system"}

    def hook(event: str, details: tuple[object, ...]) -> None:
        if event in ways | {"subprocess.Popen"}:
            started.append(f"{event} {details}")

    sys.addaudithook(hook)  # for good: hooks cannot be taken away
    return started


def peak_memory() -> float:
    """Give the most megabytes that this process ever had; 0 on Windows."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


def expect(truth: bool, otherwise: str) -> None:
    """Find a violation."""
    if not truth:
        raise AssertionError(otherwise)


Damage = Callable[[bytearray, random.Random], None]


def flip(data: bytearray, rng: random.Random) -> None:
    """Turn single bits."""
    for _ in range(rng.randint(1, 20)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    """Change bytes near the beginning, where formats keep their headers."""
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(min(len(data), rng.choice([16, 64, 256])))
        data[place] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])


def cut(data: bytearray, rng: random.Random) -> None:
    """End too early."""
    del data[rng.randrange(len(data)) :]


def lose(data: bytearray, rng: random.Random) -> None:
    """Leave some bytes out."""
    place = rng.randrange(len(data))
    del data[place : place + rng.choice([1, 2, 16, 500])]


def insert(data: bytearray, rng: random.Random) -> None:
    """Put some bytes between."""
    place = rng.randrange(len(data))
    data[place:place] = rng.randbytes(rng.choice([1, 2, 16, 500]))


def repeat(data: bytearray, rng: random.Random) -> None:
    """Write a part twice, or ten times."""
    first, last = sorted(rng.randrange(len(data)) for _ in range(2))
    data[first:first] = data[first:last] * rng.choice([1, 10])


def randomize(data: bytearray, rng: random.Random) -> None:
    """Leave a true header before a body of noise."""
    place = rng.randrange(len(data))
    data[place:] = rng.randbytes(len(data) - place)


def resize(data: bytearray, rng: random.Random) -> None:
    """Claim another width or height, wherever a header may have it."""
    sizes = [0, 1, 11, 255, 3_000, 6_000, 16_383, 65_535, 2**31 - 1, 2**32 - 1]
    new = rng.choice(sizes)
    for side in rng.choice([[WIDTH], [HEIGHT], [WIDTH, HEIGHT]]):
        for code in ("<H", ">H", "<I", ">I"):
            size = struct.calcsize(code)
            old = struct.pack(code, side)
            place = data.find(old, 0, 2_000)
            if place >= 0 and rng.random() < 0.5:
                order = "little" if code[0] == "<" else "big"
                data[place : place + size] = (new % 256**size).to_bytes(size, order)
        place = data.find(str(side).encode(), 0, 30)
        if place >= 0:
            data[place : place + 3] = str(new).encode()


def splice(data: bytearray, rng: random.Random) -> None:
    """Go on as another file does."""
    other = rng.choice(pictures())
    data[rng.randrange(len(data)) :] = other[rng.randrange(len(other)) :]


def garble_exif(data: bytearray, rng: random.Random) -> None:
    """Change what the camera noted, the way up above all."""
    place = max(data.find(b"II*\0"), data.find(b"MM\0*"))
    for _ in range(rng.randint(1, 8)) if place >= 0 else ():
        data[min(len(data) - 1, place + rng.randrange(40))] = rng.randrange(256)


# IDX files


@functools.cache
def idx_files() -> list[bytes]:
    """Give small IDX files, of each element type and with up to four dimensions."""
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for dtype in ("u1", "i1", "i2", "i4", "f4", "f8"):
            for shape in ((), (0,), (7,), (3, 4), (2, 28, 28), (2, 1, 3, 2)):
                array = np.arange(np.prod(shape, dtype=int)).astype(dtype)
                write_idx(f"{folder}/file", array.reshape(shape))
                files.append(Path(f"{folder}/file").read_bytes())
    return files


def damaged_idx(rng: random.Random) -> bytes:
    """Damage an IDX file; gzip it before or afterwards, or not at all."""
    data = bytearray(rng.choice(idx_files()))
    zipped = rng.choice([None, "before", "after"])
    if zipped == "before":
        data = bytearray(gzip.compress(data, 1, mtime=0))
    for _ in range(rng.choice([1, 1, 2, 3])):
        rng.choice([flip, overwrite, cut, lose, insert, repeat, randomize])(data, rng)
        data = data or bytearray(1)
    return gzip.compress(data, 1, mtime=0) if zipped == "after" else bytes(data)


def try_idx(path: Path, _: random.Random) -> str:
    """Read a file that may be damaged."""
    try:
        array = read_idx(path)
    except IdxError as error:
        text = str(error)
        expect(text.startswith(f"{path}: expected ") and "\n" not in text, text)
        return "sentences"
    expect(array.dtype.isnative and array.flags.writeable, f"{array.dtype}")
    return "arrays"


# Pictures

WIDTH, HEIGHT = 201, 167  # rare numbers, so that they are found in headers


@functools.cache
def pictures() -> list[bytes]:
    """Give pictures of a digit, in all formats taken and some others."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    with Image.open(example_picture("five")) as image:
        colour = image.convert("RGB").resize((WIDTH, HEIGHT))
    grey = colour.convert("L")
    clear = colour.copy()
    clear.putalpha(grey.point(lambda level: 255 - level))
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    images = {
        **{"1": grey.convert("1"), "L": grey, "P": colour.quantize(16)},
        **{"RGB": colour, "RGBA": clear, "LA": clear.convert("LA")},
        **{"CMYK": colour.convert("CMYK"), "I;16": deep, "F": grey.convert("F")},
    }
    files = [example_picture(name).read_bytes() for name in ("three", "seven")]
    for name, modes, options in (
        ("PNG", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"], {}),
        ("PNG", ["RGB"], {"exif": exif}),
        ("JPEG", ["L", "RGB", "CMYK"], {"exif": exif}),
        ("JPEG", ["L", "RGB"], {"progressive": True}),
        ("MPO", ["RGB"], {"save_all": True, "append_images": [colour]}),
        ("GIF", ["1", "L", "P", "RGBA"], {}),
        ("GIF", ["RGB"], {"save_all": True, "append_images": [clear]}),
        ("BMP", ["1", "L", "P", "RGB", "RGBA"], {}),
        ("TIFF", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"], {}),
        ("TIFF", ["RGB"], {"exif": exif}),
        ("TIFF", ["L", "RGBA", "I;16"], {"compression": "tiff_lzw"}),
        ("TIFF", ["RGB", "F"], {"compression": "tiff_adobe_deflate"}),
        ("TIFF", ["L", "RGB"], {"compression": "jpeg"}),
        ("TIFF", ["1"], {"compression": "group4"}),
        ("TIFF", ["RGB"], {"save_all": True, "append_images": [clear]}),
        ("PPM", ["1", "L", "RGB", "I;16", "F"], {}),
        ("WEBP", ["RGB", "RGBA"], {"exif": exif}),
        ("WEBP", ["RGB", "RGBA"], {"lossless": True}),
        ("WEBP", ["RGB"], {"save_all": True, "append_images": [clear]}),
        ("AVIF", ["L", "RGB", "RGBA"], {"speed": 10, "exif": exif}),
        ("EPS", ["L", "RGB"], {}),
        *((other, ["RGB"], {}) for other in ("ICO", "JPEG2000", "PCX", "SGI", "TGA")),
    ):
        for mode in modes:
            file = io.BytesIO()
            with suppress(KeyError, OSError):  # this Pillow cannot write it
                images[mode].save(file, name, **options)
                files.append(file.getvalue())
    levels = " ".join(str(level) for level in grey.tobytes())
    files.append(f"P2 {WIDTH} {HEIGHT} 255\n{levels}".encode())
    # Run-length encoding, which Pillow reads but does not write: runs of one pixel.
    bitmap = io.BytesIO()
    images["P"].save(bitmap, "BMP")
    header = bytearray(bitmap.getvalue()[:1078])
    header[30] = 1
    runs = b"".join(b"\1" + bytes([level]) for level in images["P"].tobytes())
    files.append(bytes(header) + runs)
    return files


def damaged_picture(rng: random.Random) -> bytes:
    """Damage a picture, or leave one in twenty whole."""
    data = bytearray(rng.choice(pictures()))
    common = [flip, overwrite, cut, lose, insert, repeat, randomize]
    for _ in range(rng.choice([0] + [1] * 12 + [2] * 4 + [3] * 3)):
        rng.choice([*common, resize, resize, splice, garble_exif])(data, rng)
        data = data or bytearray(1)
    if rng.random() < 0.7:
        mend_checksums(data)
    return bytes(data)


def mend_checksums(data: bytearray) -> None:
    """Let a PNG's damage get past its checksums, to the decoder."""
    place = 8
    while data[:4] == b"\x89PNG" and place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + length
        data[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4


def try_picture(path: Path, rng: random.Random) -> str:
    """Find the digit in a file that may be damaged, handed over in one of five ways."""
    way = rng.choice([Path, str, open, io.BytesIO, Image.open])
    with open(path, "rb") as opened, warnings.catch_warnings():
        picture = way(path) if way in (Path, str) else opened
        try:
            if way is io.BytesIO:
                picture = io.BytesIO(opened.read())
            elif way is Image.open:
                with suppress(Exception), warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # Pillow's, to whoever calls it
                    picture = Image.open(opened)
            frame = load_digit(picture)
        except HandwritingError as error:
            text = str(error)
            named = text.startswith((f"{path} ", "the picture ", "the file "))
            expect(named and text.endswith(".") and "\n" not in text, text)
            return "sentences"
    expect(frame.shape == (28, 28) and frame.dtype == np.uint8, f"{frame.shape}")
    return "digits"


FILES = {"idx": (damaged_idx, try_idx), "pictures": (damaged_picture, try_picture)}

if __name__ == "__main__":
    sys.exit(main())
