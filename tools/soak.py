"""Break things on purpose, and see that the course stands it.

    python -m tools.soak [--short] [--only PART] [--seed N]

trainings   training runs, each killed twice (kill -9) and resumed: to the bit the
            weights and history of one left alone, half of them in a used folder
downloads   downloads of MNIST from this machine to itself, each killed once: no half
            file then, and verified files from the next one
idx         damaged IDX files: each an array or an IdxError
pictures    damaged pictures: each a digit or a HandwritingError; no program is
            started and nothing printed

A damaged file may take 2 seconds and 500 MB. --short tries little of each. What broke
something stays in a folder that is named, and the exit status is 1.
"""

import argparse
import faulthandler
import functools
import gzip
import hashlib
import io
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from mnist_lesson import (
    HandwritingError,
    IdxError,
    Trainer,
    download,
    example_picture,
    load_digit,
    load_mnist,
    read_idx,
    write_idx,
)
from tests.server import served

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "mnist_lesson" / "sample"
MIRRORED = {
    path.stem: gzip.decompress(path.read_bytes()) for path in SAMPLE.glob("*.gz")
}
SECONDS, MEGABYTES = 2, 500  # that a damaged file may take
HANG = 1_800  # seconds, after which a process is ended
STARTED: list[str] = []  # ways in which this process has started programs


def main(arguments: list[str] | None = None) -> int:
    """Run the parts and print their table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="a few seconds of each")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--seed", type=int, default=0, help="another one breaks others")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"what breaks something is kept in {folder}", flush=True)
    violations = []
    for name in [options.only] if options.only else PARTS:
        tries = PARTS[name][1 if options.short else 0]
        start = time.monotonic()
        with ProcessPoolExecutor(initializer=watch, initargs=(folder,)) as pool:
            tried = functools.partial(attempt, name, options.seed, folder)
            chunk = max(1, min(500, tries // 16))
            found = list(pool.map(tried, range(tries), chunksize=chunk))
        violations += [text for _, text in found if text]
        minutes = (time.monotonic() - start) / 60
        counts = sorted(Counter(outcome for outcome, _ in found).items())
        print(f"{name:9} {tries:9,} tries, {minutes:4.1f} min:", end=" ")
        print(*(f"{n:,} {outcome}" for outcome, n in counts), sep=", ", flush=True)
    for text in violations:
        print(text)
    if not violations:
        shutil.rmtree(folder)
    return bool(violations)


def attempt(name: str, seed: int, folder: Path, number: int) -> tuple[str, str]:
    """Try one of a part; give what came out, and what was wrong with that."""
    _, _, originals, run = PARTS[name]
    rng = random.Random(f"{seed} {number}")
    place = folder / f"{name}-{number}"
    place.mkdir()
    if originals:
        (place / "file").write_bytes(damaged(originals(), rng))
    most = max(MEGABYTES, peak_memory())
    faulthandler.dump_traceback_later(HANG, exit=True)
    begun = time.process_time()
    try:
        outcome = run(place, rng)
        seconds, memory = time.process_time() - begun, peak_memory()
        assert seconds <= SECONDS, f"it took {seconds:.1f} seconds"
        assert memory <= most, f"it took {memory:.0f} MB"
        assert not os.fstat(1).st_size, "it printed something"
    except Exception as error:
        os.ftruncate(1, 0)
        return "violations", f"{place}: {error!r}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    shutil.rmtree(place)
    return outcome, ""


def watch(folder: Path) -> None:
    """Note what this process starts, and what it prints, from decoders in C, too."""
    with open(folder / f"printed-{os.getpid()}", "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    ways = {"os.exec", "os.fork", "os.posix_spawn", "os.startfile", "os.system"}
    ways.add("subprocess.Popen")
    sys.addaudithook(lambda event, _: event in ways and STARTED.append(event))


def peak_memory() -> float:
    """Give the most megabytes that this process ever had; 0 on Windows."""
    try:
        import resource
    except ImportError:
        return 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1e6 if sys.platform == "darwin" else 1e3)


# Killed with -9


def start(call: str, **environment: str) -> subprocess.Popen[str]:
    """Call one of this module's functions in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from tools.soak import *; {call}"],
        cwd=ROOT, env=os.environ | environment, encoding="utf-8",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def train(folder: str, seed: int, resume: bool = False) -> None:
    """Train a little, and say what comes out, line by line."""
    torch.set_num_threads(1)
    digits = load_mnist(source="sample")
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(784, 10))
    history = Trainer(model, device="cpu").fit(
        digits.train[:2_000],
        digits.validation,
        epochs=10,
        event_handler=functools.partial(print, flush=True),
        checkpoint_dir=folder,
        resume=resume,
        seed=seed,
    )
    weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
    print(hashlib.sha256(weights).hexdigest(), list(history))


def try_training(folder: Path, rng: random.Random) -> str:
    """Kill a training run twice, at any moment from a first batch on; then resume."""
    run, seed, used = folder / "run", rng.randrange(2**32), rng.random() < 0.5
    if used:
        start(f"train({str(run)!r}, {seed + 1})").communicate()
    process = start(f"train({str(folder / 'alone')!r}, {seed})")
    process.stdout.readline()
    begun = time.monotonic()
    wanted = process.communicate()[0].splitlines()[-1]
    seconds = time.monotonic() - begun
    for resume in (False, True):
        process = start(f"train({str(run)!r}, {seed}, {resume})")
        process.stdout.readline()
        before = {*run.glob(".*")}
        time.sleep(rng.uniform(0, seconds / 2))
        if rng.random() < 0.3:  # wait until a checkpoint is being written
            while process.poll() is None and before >= {*run.glob(".*")}:
                time.sleep(0.0001)
        process.kill()
        process.communicate()
    found, errors = start(f"train({str(run)!r}, {seed}, True)").communicate()
    assert found.splitlines()[-1:] == [wanted], (wanted, found, errors)
    return "identical in a used folder" if used else "identical"


def fetch(mirror: str) -> None:
    """Download the sample into the cache, as if it were all of MNIST."""
    download.MIRRORS[:] = [mirror]
    for name, data in MIRRORED.items():
        download.SHA256[name] = hashlib.sha256(data).hexdigest()
    load_mnist(source="full")


def try_download(folder: Path, rng: random.Random) -> str:
    """Kill a download at any moment; then try again."""

    def there() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in folder.rglob("*-ubyte")}

    homes = "XDG_CACHE_HOME", "HOME", "WIN_PD_OVERRIDE_LOCAL_APPDATA"
    environment = dict.fromkeys(homes, str(folder)) | {"MNIST_LESSON_DATA": ""}
    environment |= dict.fromkeys(["NO_PROXY", "no_proxy"], "127.0.0.1")
    with served(SAMPLE) as mirror:
        process = start(f"fetch({mirror!r})", **environment)
        while process.poll() is None and not [*folder.rglob("mnist_lesson")]:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.1))
        process.kill()
        process.communicate()
        kept = there()
        assert kept.items() <= MIRRORED.items(), f"half a file of {[*kept]}"
        errors = start(f"fetch({mirror!r})", **environment).communicate()[1]
    assert there() == MIRRORED, errors
    return "were faster" if process.returncode == 0 else f"with {len(kept)} files kept"


# Damaged files


def damaged(originals: list[bytes], rng: random.Random) -> bytes:
    """Give one of these files, broken in up to three of the ways in which files break.

    In a PNG, the checksums are mended, so that damage gets to the decoder.
    """
    data = bytearray(rng.choice(originals))
    for way in rng.sample(range(9), rng.choice([0] + [1] * 12 + [2] * 4 + [3] * 3)):
        data = data or bytearray(1)
        place, count = rng.randrange(len(data)), rng.choice([1, 2, 16, 500])
        match way:
            case 0:  # single bits are wrong
                for _ in range(count):
                    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            case 1:  # the header, or what the camera noted: the way up above all
                first = data.find(rng.choice([b"", b"II*\0", b"MM\0*"]))
                for _ in range(rng.randint(1, 4)):
                    place = first + rng.randrange(rng.choice([16, 64, 256]))
                    data[place % len(data)] = rng.choice([0, 1, 127, 128, 255])
            case 2:  # it ends too early
                del data[place:]
            case 3:  # bytes are left out
                del data[place : place + count]
            case 4:  # bytes come between
                data[place:place] = rng.randbytes(count)
            case 5:  # a part comes again and again
                data[place:place] = data[rng.randrange(len(data)) :][:5_000] * 10
            case 6:  # after a true header, noise
                data[place:] = rng.randbytes(len(data) - place)
            case 7:  # it goes on as another file does
                data[place:] = rng.choice(originals)[-rng.randrange(1, 5_000) :]
            case 8:  # another width or height is claimed, wherever a header may have it
                new = rng.choice([0, 1, 11, 255, 6_000, 65_535, 2**31 - 1, 2**32 - 1])
                for side in rng.choice([[WIDTH], [HEIGHT], [WIDTH, HEIGHT]]):
                    for size, order in product((2, 4), ("little", "big")):
                        old = side.to_bytes(size, order)
                        claimed = (new % 256**size).to_bytes(size, order)
                        if rng.random() < 0.5:
                            data[:2_000] = data[:2_000].replace(old, claimed, 1)
                    data[:30] = data[:30].replace(b"%d" % side, b"%d" % new)
    place = 8 if data[:4] == b"\x89PNG" and rng.random() < 0.7 else len(data)
    while place + 12 <= len(data):
        end = place + 8 + int.from_bytes(data[place : place + 4], "big")
        data[end : end + 4] = zlib.crc32(data[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(data)


@functools.cache
def idx_files() -> list[bytes]:
    """Give small IDX files, of each element type and with up to four dimensions."""
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for dtype in ("u1", "i1", "i2", "i4", "f4", "f8"):
            for shape in ((), (0,), (7,), (3, 4), (2, 28, 28), (2, 1, 3, 2)):
                array = np.arange(np.prod(shape, dtype=int)).astype(dtype)
                write_idx(path, array.reshape(shape))
                files += [path.read_bytes(), gzip.compress(path.read_bytes(), 1)]
    return files


def try_idx(folder: Path, rng: random.Random) -> str:
    """Read a file that may be damaged, some of them zipped afterwards."""
    path = folder / "file"
    if rng.random() < 1 / 3:
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
    try:
        array = read_idx(path)
    except IdxError as error:
        text = str(error)
        assert text.startswith(f"{path}: expected ") and "\n" not in text, text
        return "sentences"
    assert array.dtype.isnative and array.flags.writeable, array.dtype
    return "arrays"


WIDTH, HEIGHT = 201, 167  # rare numbers, so that they are found in headers


@functools.cache
def pictures() -> list[bytes]:
    """Give pictures of a digit, in all formats taken and some others."""
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    with Image.open(example_picture("five")) as image:
        colour = image.convert("RGB").resize((WIDTH, HEIGHT))
    grey, clear = colour.convert("L"), colour.copy()
    clear.putalpha(grey.point(lambda level: 255 - level))
    two = {"save_all": True, "append_images": [clear]}
    files = [example_picture(name).read_bytes() for name in ("three", "seven")]
    for name, modes, options in (
        ("PNG", "1 L P RGB RGBA LA I;16", {}),
        ("JPEG", "L RGB CMYK", {"exif": exif}),
        ("JPEG", "L RGB", {"progressive": True}),
        ("MPO", "RGB", two | {"append_images": [colour]}),
        ("GIF", "1 L P RGBA", {}),
        ("GIF", "RGB", two),
        ("BMP", "1 L P RGB RGBA", {}),
        ("TIFF", "1 L P RGB RGBA CMYK I;16 F", {}),
        ("TIFF", "RGB", {"exif": exif}),
        ("TIFF", "RGB", two),
        ("TIFF", "L RGBA I;16", {"compression": "tiff_lzw"}),
        ("TIFF", "RGB F", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", "L RGB", {"compression": "jpeg"}),
        ("TIFF", "1", {"compression": "group4"}),
        ("PPM", "1 L RGB I;16 F", {}),
        ("WEBP", "RGB RGBA", {"exif": exif}),
        ("WEBP", "RGBA", {"lossless": True}),
        ("WEBP", "RGB", two),
        ("AVIF", "L RGB RGBA", {"speed": 10, "exif": exif}),
        *((other, "RGB", {}) for other in ("EPS", "ICO", "JPEG2000", "PCX", "TGA")),
    ):
        for mode in modes.split():
            image = clear if "A" in mode else colour if mode == "RGB" else grey
            file = io.BytesIO()
            with suppress(KeyError, OSError):  # this Pillow cannot write it
                image.convert(mode).save(file, name, **options)
                files.append(file.getvalue())
    return files


def try_picture(folder: Path, rng: random.Random) -> str:
    """Find the digit in a file that may be damaged, or that Pillow has opened."""
    picture = folder / "file"
    STARTED.clear()
    if rng.random() < 0.3:
        with suppress(Exception), warnings.catch_warnings(action="ignore"):
            picture = Image.open(picture)  # it warns whoever calls it
    try:
        frame = load_digit(picture)
    except HandwritingError as error:
        text, starts = str(error), (f"{folder / 'file'} ", "the picture ", "the file ")
        assert text.startswith(starts) and text.endswith(".") and "\n" not in text, text
    else:
        assert frame.shape == (28, 28) and frame.dtype == np.uint8, frame.shape
        text = ""
    assert not STARTED, STARTED
    return "sentences" if text else "digits"


# How many tries, and how many of --short; the files that are damaged; what is tried.
PARTS = {
    "trainings": (20, 1, None, try_training),
    "downloads": (20, 1, None, try_download),
    "idx": (1_000_000, 2_000, idx_files, try_idx),
    "pictures": (20_000, 200, pictures, try_picture),
}

if __name__ == "__main__":
    sys.exit(main())
