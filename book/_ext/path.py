"""The path through the chapters, on the first page: a picture and a time for each."""

import re

from lxml import html
from lxml.builder import E
from PIL import Image

PICTURE = re.compile(r'<div class="cell_output.*?(<img\b[^>]*>)', re.S)
MARK = "<!-- the next picture stands in the list of chapters -->"
NOT_READ = re.compile(r"<(script|style|details|nav|math|pre)\b.*?</\1>|<[^>]+>", re.S)
WORDS_A_MINUTE = 100  # half of a novel's: formulas, code and figures take the rest
SMALL = 320, 200  # twice as large as it is shown, for fine screens


def show_path(page, folder):
    """Put them into the list of chapters, which leads to pages beside this folder."""
    for link in page.cssselect("li > p > strong > a[href*='notebooks/']"):
        chapter = (folder / link.get("href")).resolve()
        source = chapter.read_text("utf-8")
        article = source[source.index("<article") : source.index("</article>")]
        words = len(NOT_READ.sub(" ", article).split())
        minutes = 5 * max(1, round(words / WORDS_A_MINUTE / 5))
        entry = next(link.iterancestors("li"))
        entry.getparent().set("class", "path")
        entry.append(E.small(f"about {minutes} minutes to read"))
        # The chapter's first, unless it marks another.
        if found := PICTURE.search(article, max(0, article.find(MARK))):
            image = html.fragment_fromstring(found[1])
            name = f"../_images/path-{chapter.stem}.png"
            with Image.open(chapter.parent / image.get("src")) as picture:
                small = picture.convert("RGB")
                small.thumbnail(SMALL)
                small.save(folder / name, optimize=True)
            entry.insert(0, E.img(src=name, alt=image.get("alt")))
