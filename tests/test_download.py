"""Mirrors, proxies and networks as they are, all on this machine's own ports."""

import gzip
import http.server
import io
import json
import os
import shutil
import socket
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
SETTINGS = "check HTTPS_PROXY and REQUESTS_CA_BUNDLE"
LOGIN = "a web page came instead; does this network want a login?"


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


def full():
    """Load MNIST, or what the mirror has in its place; tell whether all is there."""
    mnist = load_mnist(source="full", validation=0)
    return [len(part) for part in mnist[:3]] == [60, 0, 20]


def sentence():
    """Load on a machine where MNIST cannot be loaded; give the one warning's words."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        start = time.monotonic()
        assert load_mnist().source == "sample"
        assert time.monotonic() - start < 10
    [warning] = caught
    assert warning.filename == __file__
    said, _, hint = str(warning.message).partition("; using the 5,000 digits")
    assert "results will be worse" in hint and "\n" not in said
    with pytest.raises(DataError) as error:
        load_mnist(source="full")
    assert sorted(str(error.value)) == sorted(said)  # mirrors may change their order
    return said


def test_offline_the_sample_with_one_warning(nowhere):
    said = sentence()
    for part in (
        "not in the cache",
        "none of its mirrors answers",
        "refused: no network",
    ):
        assert part in said


def test_a_network_that_swallows_everything(nowhere, monkeypatch):
    """A mirror that takes the connection and never says a word: still under 10 s."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(download, "MIRRORS", [url, url])
        start = time.monotonic()
        said = "none of its mirrors.*no network?.*using the 5,000 digits"
        with pytest.warns(UserWarning, match=said):
            assert load_mnist().source == "sample"
        assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("REQUESTS_CA_BUNDLE", "/gone/ca.pem", "certificate bundle.*/gone/ca.pem"),
        ("HTTPS_PROXY", "foo://", "proxy URL"),
        ("HTTPS_PROXY", "foo://127.0.0.1:9", "scheme"),
        ("HTTPS_PROXY", "http://[bad", "parse"),
        ("HTTPS_PROXY", "http://anna:p@ss@host:99999", "parse: http://host:99999"),
        ("HTTPS_PROXY", "http://anna:p ss@host:99999", "parse: http://host:99999"),
        ("HTTPS_PROXY", "http://anna:p/ss@host:99999", "parse: it is not a valid host"),
        ("HTTPS_PROXY", "http://127.0.0.1:9", "proxy: .*refused"),
    ],
)
def test_settings_that_bar_the_way(nowhere, monkeypatch, variable, value, reason):
    monkeypatch.setattr(download, "MIRRORS", ["https://127.0.0.1/", "https://[::1]/"])
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(DataError, match=f"(?i){reason}.*{SETTINGS}") as error:
        load_mnist(source="full")
    assert "no network?" not in str(error.value) and "anna" not in str(error.value)


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


def refuse(status):
    return lambda handler: handler.send_error(status)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        *((page, LOGIN), (redirect, LOGIN)),
        *((refuse(status), f": {status} ") for status in (403, 404, 503)),
    ],
)
def test_mirrors_that_refuse_and_a_network_that_wants_a_login(
    nowhere, monkeypatch, answer, reason
):
    with served(".", answer) as url:
        monkeypatch.setattr(download, "MIRRORS", [f"{url}a/", f"{url}b/"])
        said = sentence()
    assert said.count(reason) == 2 and f"{url}a/: " in said and f"{url}b/: " in said


def test_a_mirror_without_a_certificate_and_a_proxy_that_wants_a_password(
    nowhere, monkeypatch
):
    """A server that speaks no TLS, as some networks' login pages, or a wrong one."""
    with served(".", refuse(407)) as url:
        monkeypatch.setattr(download, "MIRRORS", [url.replace("http:", "https:")])
        assert "SSL" in (said := sentence()) and SETTINGS in said
        monkeypatch.setattr(download, "MIRRORS", ["https://digits.invalid/"])
        monkeypatch.setenv("HTTPS_PROXY", url)
        assert f"407 Proxy Authentication Required; {SETTINGS}" in sentence()


def endless(piece, seconds):
    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        while handler.command == "GET":
            handler.wfile.write(piece)
            time.sleep(seconds)

    return answer


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (endless(b"\x1f", 0.1), "no progress"),  # it drips
        (endless(bytes(5000), 30), "no progress|timed out"),  # it stalls
        (endless(bytes(1 << 20), 0), "sends more"),  # it floods
    ],
)
def test_a_mirror_that_does_not_come_to_an_end(mirror, monkeypatch, answer, reason):
    asked = []

    def counted(handler):
        asked.append(handler.command)
        answer(handler)

    def good(handler):  # but the other one is the first to answer
        if handler.command == "HEAD":
            time.sleep(1)
        handler.directory = mirror
        http.server.SimpleHTTPRequestHandler.do_GET(handler)

    monkeypatch.setattr(download, "STALL_SECONDS", 1)
    with served(".", counted) as bad, served(".", good) as second:
        monkeypatch.setattr(download, "MIRRORS", [bad])
        start = time.monotonic()
        with pytest.raises(DataError, match=reason):
            load_mnist(source="full")
        monkeypatch.setattr(download, "MIRRORS", [second, bad])
        asked.clear()
        assert full() and asked.count("GET") == 1  # for one of the four files
        assert time.monotonic() - start < 20


def test_what_was_unzipped_on_its_way_is_taken(nowhere, mirror):
    """As some proxies do; what counts are the contents."""
    for path in mirror.iterdir():
        path.write_bytes(gzip.decompress(path.read_bytes()))
    assert full()


def test_downloads_once_and_then_reads_the_cache(nowhere, mirror, capsys):
    assert full()
    assert sorted(path.name for path in nowhere.iterdir()) == sorted(NAMES)
    assert capsys.readouterr() == ("", "")  # no progress where nobody watches
    download.MIRRORS.clear()
    assert full() and load_mnist().source == "full"


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
        assert full()


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_cache_is_mended(nowhere, mirror, name):
    """One wrong byte in a file of the right size, and a file cut short."""
    assert full()
    whole = (nowhere / name).read_bytes()
    others = [nowhere / other for other in NAMES if other != name]
    written = [path.stat().st_mtime_ns for path in others]
    for damaged in whole[:-1] + bytes([whole[-1] ^ 1]), b"damaged":
        (nowhere / name).write_bytes(damaged)
        assert full()
        assert (nowhere / name).read_bytes() == whole
    assert [path.stat().st_mtime_ns for path in others] == written  # not fetched again


def test_files_put_into_the_cache_by_hand(nowhere, mirror, write_folder):
    """As a teacher does in a room without a network."""
    download.MIRRORS.clear()
    write_folder(nowhere, suffix=".gz")
    assert full()


@pytest.fixture
def without_rights(nowhere, monkeypatch):
    """Be a user who may not read everything; give a cache folder in which to forbid."""
    if not hasattr(os, "geteuid"):
        pytest.skip("folders are forbidden in another way here")
    home, root = Path(tempfile.mkdtemp()), os.geteuid() == 0
    if root:
        os.chown(home, 65534, 65534)
        os.seteuid(65534)
    monkeypatch.setattr(pooch, "os_cache", lambda name: home / name)
    yield home / "mnist_lesson"
    if root:
        os.seteuid(0)
    for folder in home, home / "mnist_lesson":
        folder.chmod(0o755)
    shutil.rmtree(home)


def test_a_folder_that_may_not_be_read(without_rights):
    without_rights.mkdir()
    without_rights.chmod(0)
    said = sentence()
    assert str(without_rights) in said and "Permission denied" in said
    with pytest.raises(DataError, match=r"cannot be read.*Permission denied"):
        load_mnist(without_rights)


def test_a_cache_that_may_not_be_written(mirror, without_rights, write_folder):
    without_rights.parent.chmod(0o555)
    assert "Permission denied" in sentence()
    without_rights.parent.chmod(0o755)
    without_rights.mkdir(0o555)
    assert "Permission denied" in sentence()
    without_rights.chmod(0o755)
    write_folder(without_rights).chmod(0o555)
    assert full()


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
    # Killed while it wrote a file, two days ago; and another, which is writing still.
    old, new = (nowhere / f".{NAMES[0]}-{end}" for end in ("0123abcd", "4567cdef"))
    for path in old, new:
        path.write_bytes(b"half of it")
    os.utime(old, (time.time() - 2 * download.DAY,) * 2)
    assert full() and not old.exists() and new.exists()


def test_several_at_once(nowhere, mirror):
    """Two notebooks that are started together."""
    there = []
    threads = [threading.Thread(target=lambda: there.append(full())) for _ in range(6)]
    for step in threading.Thread.start, threading.Thread.join:
        list(map(step, threads))
    assert there == [True] * 6
    assert sorted(path.name for path in nowhere.iterdir()) == sorted(NAMES)


def test_killed_while_downloading(nowhere, mirror):
    """After kill -9 no file has MNIST's name unless it is whole, and a retry works."""
    code = """if 1:
        import json, sys, pathlib, pooch
        from mnist_lesson import download, load_mnist
        pooch.os_cache = lambda name: pathlib.Path(sys.argv[1])
        download.MIRRORS, download.SHA256 = [sys.argv[2]], json.loads(sys.argv[3])
        load_mnist(source="full")"""
    started = threading.Event()

    def slow(handler):  # from the second file on
        if handler.command == "HEAD" or NAMES[0] in handler.path:
            return http.server.SimpleHTTPRequestHandler.do_GET(handler)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"\x1f\x8b")
        started.set()
        time.sleep(30)

    sums = json.dumps(download.SHA256)
    with served(mirror, slow) as url:
        process = subprocess.Popen([sys.executable, "-c", code, nowhere, url, sums])
        assert started.wait(60)
        os.kill(process.pid, 9)  # on Windows, too
        process.wait()
    [first] = nowhere.iterdir()
    assert first.name == NAMES[0] and download.is_verified(NAMES[0], first.read_bytes())
    assert full()


def test_progress_is_shown_in_a_terminal(nowhere, mirror, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    assert full()
    for name in NAMES:
        assert f"{name}:   0%|" in sys.stderr.getvalue()
