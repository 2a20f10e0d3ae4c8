"""The path through the chapters, on the first page: a picture and a time for each."""

import re

from bs4 import BeautifulSoup
from PIL import Image

PICTURE = re.compile(r'<div class="cell_output.*?(<img\b[^>]*>)', re.S)
NOT_READ = re.compile(r"<(script|style|details|nav|math|pre)\b.*?</\1>|<[^>]+>", re.S)
WORDS_A_MINUTE = 100  # half of a novel's: formulas, code and figures take the rest
SMALL = 320, 200  # twice as large as it is shown, for fine screens


def show_path(page, folder):
    """Put them into the list of chapters, which leads to pages beside this folder."""
    for link in page.select("li > p > strong > a[href*='notebooks/']"):
        chapter = (folder / link["href"]).resolve()
        html = chapter.read_text("utf-8")
        article = html[html.index("<article") : html.index("</article>")]
        words = len(NOT_READ.sub(" ", article).split())
        entry = link.find_parent("li")
        entry.parent["class"] = "path"
        time = page.new_tag("small")
        minutes = 5 * max(1, round(words / WORDS_A_MINUTE / 5))
        time.string = f"about {minutes} minutes to read"
        entry.append(time)
        if found := PICTURE.search(article):
            image = BeautifulSoup(found[1], "html.parser").img
            name = f"../_images/path-{chapter.stem}.png"
            with Image.open(chapter.parent / image["src"]) as picture:
                small = picture.convert("RGB")
                small.thumbnail(SMALL)
                small.save(folder / name, optimize=True)
            entry.insert(0, page.new_tag("img", src=name, alt=image["alt"]))
