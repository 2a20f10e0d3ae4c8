"""Mirrors, proxies and networks as they are, all on this machine's own ports."""

import gzip
import os
import select
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import pooch
import pytest
from server import served

from mnist_lesson import DataError, download, load_mnist

NAMES = list(download.SHA256)
PREPARE = """
import sys, pathlib, pooch, mnist_lesson
from mnist_lesson import download, load_mnist
pooch.os_cache = lambda name: pathlib.Path(sys.argv[1])
download.MIRRORS = [sys.argv[2]]
download.SHA256.update(zip(download.SHA256, sys.argv[3:]))
"""


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without MNIST: no folder named, an empty cache, nobody answers."""
    monkeypatch.delenv("MNIST_LESSON_DATA", raising=False)
    for name in "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "REQUESTS_CA_BUNDLE":
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(pooch, "os_cache", lambda name: tmp_path / "cache" / name)
    with socket.socket() as closed:  # a port of this machine where nobody listens
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    monkeypatch.setattr(download, "MIRRORS", [f"http://127.0.0.1:{port}/"])
    return tmp_path / "cache" / "mnist_lesson"


@pytest.fixture
def mirror(tmp_path, monkeypatch, nowhere, write_folder):
    """A mirror on this machine, with files of its own and their checksums."""
    folder = write_folder(tmp_path / "mirror", suffix=".gz")
    for name in NAMES:
        plain = tmp_path / name
        plain.write_bytes(gzip.decompress((folder / f"{name}.gz").read_bytes()))
        monkeypatch.setitem(download.SHA256, name, pooch.file_hash(plain))
        plain.unlink()
    with served(folder) as url:
        monkeypatch.setattr(download, "MIRRORS", [url])
        yield folder


def sentence():
    """Load on a machine where MNIST cannot be loaded; give the one warning's words."""
    failed = []
    with (
        warnings.catch_warnings(record=True) as caught,
        pytest.MonkeyPatch.context() as m,
    ):
        warnings.simplefilter("always")
        m.setattr(threading, "excepthook", failed.append)
        assert load_mnist().source == "sample"
        with pytest.raises(DataError) as error:
            load_mnist(source="full")
    [warning] = [w for w in caught if w.category is UserWarning]
    said = str(error.value)
    # Which mirror is the first to answer may differ from one time to the next.
    assert sorted(str(warning.message).partition("; using the 5,000")[0]) == sorted(
        said
    )
    assert "\n" not in said
    assert not failed  # no traceback from a thread
    return said


def test_offline_the_sample_with_one_warning(nowhere):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        start = time.monotonic()
        mnist = load_mnist()
    assert mnist.source == "sample" and time.monotonic() - start < 10
    [warning] = caught
    assert warning.filename == __file__
    for part in (
        "not in the cache",
        "refused",
        "no network?",
        "5,000 digits",
        "results will be worse",
    ):
        assert part in str(warning.message)
    with pytest.raises(DataError, match="none of its mirrors answers"):
        load_mnist(source="full")


def test_a_network_that_swallows_everything(nowhere, monkeypatch):
    """A mirror that takes the connection and never says a word: still under 10 s."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(download, "MIRRORS", [url, url])
        start = time.monotonic()
        with pytest.warns(UserWarning, match="none of its mirrors.*no network?"):
            assert load_mnist().source == "sample"
        assert time.monotonic() - start < 10


SETTINGS = "check HTTPS_PROXY and REQUESTS_CA_BUNDLE"


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("REQUESTS_CA_BUNDLE", "/gone/ca.pem", "certificate bundle.*/gone/ca.pem"),
        ("CURL_CA_BUNDLE", "/gone/ca.pem", "certificate bundle.*/gone/ca.pem"),
        ("HTTPS_PROXY", "foo://", "proxy URL"),
        ("HTTPS_PROXY", "foo://127.0.0.1:9", "scheme"),
        ("HTTPS_PROXY", "http://[bad", "parse"),
        ("HTTPS_PROXY", "http://127.0.0.1:port", "parse"),
        ("HTTPS_PROXY", "http://127.0.0.1:9", "proxy: .*refused"),
    ],
)  # fmt: skip
def test_settings_that_bar_the_way(nowhere, monkeypatch, variable, value, reason):
    monkeypatch.setattr(download, "MIRRORS", ["https://127.0.0.1/", "https://[::1]/"])
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(DataError, match=f"(?i){reason}.*{SETTINGS}"):
        load_mnist(source="full")
    assert "no network?" not in sentence()


def test_a_proxy_that_wants_a_password(nowhere, monkeypatch):
    with served(".", lambda handler: handler.send_error(407)) as url:
        monkeypatch.setattr(download, "MIRRORS", ["https://digits.invalid/"])
        monkeypatch.setenv("HTTPS_PROXY", url)
        assert f"407 Proxy Authentication Required; {SETTINGS}" in sentence()


def test_a_mirror_without_a_certificate(nowhere, monkeypatch):
    """A server that speaks no TLS, as some networks' login pages, or a wrong one."""
    with served(".") as url:
        monkeypatch.setattr(download, "MIRRORS", [url.replace("http:", "https:")])
        assert "SSL" in (said := sentence()) and SETTINGS in said


def page(handler):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"\r\n<!doctype html><title>Sign in</title>")


def redirect(handler):
    if "login" in handler.path:
        return page(handler)
    handler.send_response(302)
    handler.send_header("Location", "/login")
    handler.end_headers()


@pytest.mark.parametrize("answer", [page, redirect])
def test_a_network_that_wants_a_login(nowhere, monkeypatch, answer):
    with served(".", answer) as url:
        monkeypatch.setattr(download, "MIRRORS", [url])
        assert "a web page came instead; does this network want a login?" in sentence()


@pytest.mark.parametrize("status", [403, 404, 503])
def test_mirrors_that_refuse(nowhere, monkeypatch, status):
    with served(".", lambda handler: handler.send_error(status)) as url:
        monkeypatch.setattr(download, "MIRRORS", [f"{url}a/", f"{url}b/"])
        said = sentence()
        assert f"{url}a/: {status}" in said and f"{url}b/: {status}" in said


def drip(handler):
    handler.send_response(200)
    handler.end_headers()
    while handler.command == "GET":
        handler.wfile.write(b"\x1f")
        time.sleep(0.1)


def stall(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(bytes(5000))
        time.sleep(30)


def flood(handler):
    handler.send_response(200)
    handler.end_headers()
    while handler.command == "GET":
        handler.wfile.write(bytes(1 << 20))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(drip, "no progress"), (stall, "no progress|timed out"), (flood, "sends more")],
)
def test_a_mirror_that_does_not_come_to_an_end(
    nowhere, mirror, monkeypatch, answer, reason
):
    monkeypatch.setattr(download, "STALL_SECONDS", 1)
    [good] = download.MIRRORS
    with served(".", answer) as bad:
        monkeypatch.setattr(download, "MIRRORS", [bad])
        start = time.monotonic()
        with pytest.raises(DataError, match=reason):
            load_mnist(source="full")
        monkeypatch.setattr(download, "_reachable", lambda _: [bad, good])
        assert load_mnist(validation=0).source == "full"
        assert time.monotonic() - start < 20


def test_a_bomb_is_not_unpacked(nowhere, mirror, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 100_000)
    (mirror / f"{NAMES[0]}.gz").write_bytes(gzip.compress(bytes(50_000_000)))
    real = gzip.GzipFile.read
    monkeypatch.setattr(
        gzip.GzipFile, "read", lambda *a: sizes.append(len(r := real(*a))) or r
    )
    sizes = []
    with pytest.raises(DataError, match="not MNIST's"):
        load_mnist(source="full")
    assert max(sizes) <= 100_000


def test_importing_requests_does_not_count(nowhere, mirror):
    """A slow or busy machine has a network, too."""
    code = f"""{PREPARE}
import builtins, time
load = builtins.__import__
def slow(name, *rest, **more):
    if name == "requests" and name not in sys.modules:
        time.sleep(2)
    return load(name, *rest, **more)
builtins.__import__ = slow
download.ANSWER_SECONDS = 1.5
assert "requests" not in sys.modules
print(load_mnist(validation=0).source)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, nowhere, *download.MIRRORS,
         *download.SHA256.values()],
        capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert done.stdout == "full\n", done.stderr


def test_downloads_once_and_then_reads_the_cache(nowhere, mirror, capsys):
    mnist = load_mnist(source="full", validation=0)
    assert len(mnist.train) == 60 and len(mnist.test) == 20
    assert sorted(path.name for path in nowhere.iterdir()) == sorted(NAMES)
    assert capsys.readouterr() == ("", "")  # no progress where nobody watches
    for name in NAMES:
        (mirror / f"{name}.gz").unlink()
    again = load_mnist(validation=0)
    assert len(again.train) == 60 and again.source == "full"


def test_the_next_mirror_when_one_is_wrong(
    nowhere, mirror, tmp_path, monkeypatch, write_folder
):
    """Missing files, other contents, cut short: each time the next mirror is asked."""
    good = download.MIRRORS[0]
    empty, other, cut = (tmp_path / name for name in ("empty", "other", "cut"))
    empty.mkdir()
    write_folder(other, train=30, suffix=".gz")
    cut.mkdir()
    for name in NAMES:
        content = (mirror / f"{name}.gz").read_bytes()
        (cut / f"{name}.gz").write_bytes(content[: len(content) // 2])
    with served(empty) as a, served(other) as b, served(cut) as c:
        monkeypatch.setattr(download, "MIRRORS", [a, b, c])
        with pytest.raises(DataError) as caught:
            load_mnist(source="full")
        for why in "404", "not MNIST's", "ended before the end-of-stream":
            assert why in str(caught.value)
        assert list(nowhere.iterdir()) == []  # nothing half-written
        monkeypatch.setattr(download, "MIRRORS", [a, b, c, good])
        assert len(load_mnist(source="full", validation=0).train) == 60


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_cache_is_mended(nowhere, mirror, name):
    """One wrong byte in a file of the right size, and a file cut short."""
    load_mnist(source="full", validation=0)
    whole = (nowhere / name).read_bytes()
    for damaged in whole[:-1] + bytes([whole[-1] ^ 1]), b"damaged":
        (nowhere / name).write_bytes(damaged)
        assert len(load_mnist(source="full", validation=0).train) == 60
        assert (nowhere / name).read_bytes() == whole


def test_files_put_into_the_cache_by_hand(nowhere, mirror, write_folder):
    """As a teacher does in a room without a network."""
    download.MIRRORS.clear()
    write_folder(nowhere, suffix=".gz")
    assert load_mnist(source="full", validation=0).source == "full"


@pytest.fixture
def without_rights(nowhere, monkeypatch, tmp_path_factory):
    """Be a user who may not read everything; give a cache folder in which to forbid."""
    if not hasattr(os, "geteuid"):
        pytest.skip("folders are forbidden in another way here")
    root, folder = os.geteuid() == 0, tmp_path_factory.mktemp("home")
    if root:
        for part in (folder, *folder.parents):
            if Path(tempfile.gettempdir()) in part.parents:
                part.chmod(0o755)
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    cache = folder / "mnist_lesson"
    monkeypatch.setattr(pooch, "os_cache", lambda name: folder / name)
    try:
        yield cache
    finally:
        if root:
            os.seteuid(0)
        for part in folder, cache:
            if part.exists():
                part.chmod(0o755)


def test_a_cache_that_may_not_be_read(without_rights):
    without_rights.mkdir()
    without_rights.chmod(0)
    said = sentence()
    assert str(without_rights) in said and "Permission denied" in said


def test_a_folder_that_may_not_be_read(without_rights):
    without_rights.mkdir()
    without_rights.chmod(0)
    with pytest.raises(DataError, match=r"cannot be read.*Permission denied"):
        load_mnist(without_rights)


def test_a_cache_that_may_not_be_written(mirror, without_rights, write_folder):
    without_rights.parent.chmod(0o555)
    assert "Permission denied" in sentence()
    without_rights.parent.chmod(0o755)
    write_folder(without_rights).chmod(0o555)
    assert load_mnist(source="full", validation=0).source == "full"


def test_a_cache_that_is_a_file(nowhere):
    nowhere.parent.mkdir()
    nowhere.write_bytes(b"")
    assert f"{nowhere}: MNIST cannot be kept there (" in sentence()


def test_a_user_without_a_home(nowhere, monkeypatch, tmp_path):
    import platformdirs

    pwd = pytest.importorskip("pwd")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(pooch, "os_cache", platformdirs.user_cache_dir)
    monkeypatch.chdir(tmp_path)
    assert "no home folder" in sentence()
    assert not (tmp_path / "~").exists()


def test_a_disk_that_is_full(nowhere, mirror):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        said = sentence()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"{nowhere}: MNIST cannot be kept there (File too large)" in said
    assert list(nowhere.iterdir()) == []
    assert load_mnist(source="full", validation=0).source == "full"


def test_several_at_once(nowhere, mirror):
    """Two notebooks that are started together."""
    sources = []
    threads = [
        threading.Thread(target=lambda: sources.append(load_mnist(validation=0).source))
        for _ in range(6)
    ]
    for step in threading.Thread.start, threading.Thread.join:
        list(map(step, threads))
    assert sources == ["full"] * 6
    assert sorted(path.name for path in nowhere.iterdir()) == sorted(NAMES)


def test_killed_while_downloading(nowhere, mirror):
    """After kill -9 no file has MNIST's name unless it is whole, and a retry works."""
    started = threading.Event()

    def slow(handler):
        handler.send_response(200)
        handler.end_headers()
        if handler.command == "GET":
            handler.wfile.write(b"\x1f\x8b")
            started.set()
            time.sleep(30)

    code = f"{PREPARE}\nload_mnist(source='full')"
    with served(mirror, slow) as url:
        process = subprocess.Popen([sys.executable, "-c", code, nowhere, url])
        assert started.wait(60)
        os.kill(process.pid, 9)  # on Windows, too
        process.wait()
    left = [path for path in nowhere.rglob("*") if path.name in NAMES]
    assert left == []
    [remains] = nowhere.glob(".download-*")
    os.utime(remains, (0, 0))  # long ago
    assert len(load_mnist(source="full", validation=0).train) == 60
    assert not remains.exists()


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_progress_is_shown_in_a_terminal(nowhere, mirror):
    code = f"{PREPARE}\nprint(len(load_mnist(source='full', validation=0).train))"
    import fcntl
    import termios

    ours, theirs = os.openpty()
    size = struct.pack("HHHH", 24, 80, 0, 0)  # rows and columns, as a terminal has
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    process = subprocess.Popen(
        [sys.executable, "-c", code, nowhere, *download.MIRRORS,
         *download.SHA256.values()],
        stderr=theirs, stdout=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    shown = b""
    while process.poll() is None or select.select([ours], [], [], 0)[0]:
        if select.select([ours], [], [], 0.1)[0]:
            shown += os.read(ours, 100_000)
    os.close(ours), os.close(theirs)
    assert process.stdout.read() == "60\n"
    assert "train-images-idx3-ubyte:   0%|" in shown.decode()
