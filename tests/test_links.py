"""`make links`: every link out of the book is asked for, and a dead one is named.

No other host is: a proxy where nobody listens stands between.
"""

import json
import os
import re
import shlex
import subprocess

import nbformat
from server import served


def answer(request):
    """Have one page."""
    request.send_response(200 if request.path == "/here" else 404)
    request.send_header("Content-Length", "0")
    request.end_headers()


def texts(folder):
    """Give the text of every page: of chapters, the cells that the book shows."""
    for path in folder.glob("book/*.md"):
        yield path.read_text("utf-8")
    for path in folder.glob("notebooks/*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown" and "tags" not in cell.metadata:
                yield cell.source


def test_every_link_is_checked_and_a_dead_one_is_named(checkout, program, offline):
    folder = checkout()
    page = folder / "book" / "credits.md"
    text = page.read_text("utf-8")
    makefile = (folder / "Makefile").read_text("utf-8")
    command = re.search(r"^links:.*\n\t\$\(BIN\)/jupyter-book (.*)$", makefile, re.M)[1]
    with served(answer=answer) as host:
        page.write_text(f"{text}\n[one]({host}here) [two]({host}gone)\n", "utf-8")
        done = subprocess.run(
            [program("jupyter-book"), *shlex.split(command)],
            cwd=folder, env=os.environ | offline,
            capture_output=True, encoding="utf-8",
        )  # fmt: skip
    assert done.returncode != 0
    assert re.search(rf"broken.*{host}gone.*404 Client Error", done.stdout)
    report = next(folder.glob("_build/links/**/output.json")).read_text("utf-8")
    links = [json.loads(line) for line in report.splitlines()]
    status = {link["uri"]: link["status"] for link in links}
    assert status[f"{host}here"] == "working" and status[f"{host}gone"] == "broken"

    link = r"\]\((https?://[^)\s]+)\)"
    linked = {url for text in texts(folder) for url in re.findall(link, text)}
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
    assert any("opensource.org" in url for url in status)
