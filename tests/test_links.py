"""`make links`: every link out of the book is asked for, and a dead one is named.

No other host is: a proxy where nobody listens stands between.
"""

import json
import os
import re
import subprocess
from pathlib import Path

import nbformat
import pytest
from server import served

ROOT = Path(__file__).parents[1]
NOBODY = "http://127.0.0.1:9"


def answer(request):
    """Have one page."""
    request.send_response(200 if request.path == "/here" else 404)
    request.send_header("Content-Length", "0")
    request.end_headers()


@pytest.fixture(scope="module")
def host():
    with served(answer=answer) as address:
        yield address.rstrip("/")


def command():
    """Read from the Makefile what `make links` runs."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return re.search(r"^links:.*\n\t\$\(BIN\)/jupyter-book (.*)$", makefile, re.M)[1]


def check_links(folder, jupyter_book):
    """Run it; give what it says, and what became of each link."""
    environment = os.environ | {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    for name in "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY":
        environment |= {name: NOBODY, name.lower(): NOBODY}
    done = subprocess.run(
        [jupyter_book, *command().split()],
        cwd=folder, capture_output=True, encoding="utf-8", env=environment,
    )  # fmt: skip
    report = next(folder.glob("_build/links/**/output.json")).read_text("utf-8")
    links = [json.loads(line) for line in report.splitlines()]
    return done, {link["uri"]: link["status"] for link in links}


def texts(folder):
    """Give the text of every page: of chapters, the cells that the book shows."""
    for path in folder.glob("book/*.md"):
        yield path.read_text("utf-8")
    for path in folder.glob("notebooks/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown" and "tags" not in cell.metadata:
                yield cell.source


def test_every_link_is_checked_and_a_dead_one_is_named(copy_sources, host, program):
    folder = copy_sources()
    page = folder / "book" / "credits.md"
    text = page.read_text("utf-8")
    page.write_text(f"{text}\n[one]({host}/here) [two]({host}/gone)\n", "utf-8")
    done, status = check_links(folder, program("jupyter-book"))
    assert done.returncode != 0
    assert re.search(rf"broken.*{host}/gone.*404 Client Error", done.stdout)
    assert status[f"{host}/here"] == "working" and status[f"{host}/gone"] == "broken"

    linked = {
        link
        for text in texts(folder)
        for link in re.findall(r"\]\((https?://[^)\s]+)\)", text)
    }
    bibliography = (folder / "book" / "references.bib").read_text("utf-8")
    dois = re.findall(r"doi = \{([^}]+)\}", bibliography)
    linked |= {f"https://doi.org/{doi}" for doi in dois}
    assert len(linked) > 40
    # Of a DOI, doi.org is asked: publishers answer programs with 403.
    asked = {re.sub("^https://doi.org/", r"\g<0>api/handles/", url) for url in linked}
    assert asked <= set(status)
    assert not any(re.match(r"https://doi.org/(?!api/)", url) for url in status)
    # Nobody is at the book's first address, and this host answers programs with 403.
    for url in status:
        if re.search("your-{2}account|opensource.org", url):
            assert status[url] == "ignored"


def test_when_all_links_are_alive_nothing_fails(copy_sources, host, program):
    folder = copy_sources()
    page = folder / "book" / "credits.md"
    page.write_text(f"{page.read_text('utf-8')}\n[one]({host}/here)\n", "utf-8")
    config = folder / "_config.yml"
    text = config.read_text("utf-8")
    assert "linkcheck_ignore: [" in text
    text = text.replace("linkcheck_ignore: [", "linkcheck_ignore: ['https://', ")
    config.write_text(text, "utf-8")
    done, status = check_links(folder, program("jupyter-book"))
    assert done.returncode == 0, done.stdout[-2000:]
    assert status[f"{host}/here"] == "working" and "broken" not in status.values()
