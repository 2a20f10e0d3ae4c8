"""Sphinx extension: pages that are light, self-contained and usable by everyone.

Each page is mended when the book is complete: it loads only the scripts that it uses,
its icons and the sizes of its pictures stand in the page, no line breaks within a
number or a product, and assistive technology can read all of it.
"""

import gc
import json
import re
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import formulas
import lab_scripts
import pydata_sphinx_theme
import sphinxext.opengraph
import stylesheets
from docutils import nodes
from lxml import html
from lxml.builder import E
from path import show_path
from PIL import Image
from sphinx.errors import ExtensionError

ICONS = "theme/pydata_sphinx_theme/static/scripts/fontawesome.js"

# The scripts that the theme puts on every page, and the selector of what uses them. The
# empty selector matches nothing: thebe comes from another host, fontawesome.js weighs
# 1.5 MB, and search.html has the search's own scripts.
NEEDED_BY = {
    "thebe|THEBE|kernelName|fontawesome.js": "",
    "searchtools.js|language_data.js|searchindex.js": "#search-results",
    "sphinx-design|design-tabs.js": "[class*=sd-]",
    "toggleHint|toggleOpen|togglebutton": ".toggle, .admonition.dropdown",
    "clipboard|copybutton": "div.highlight",
    "mystnb": ".cell",
}
# A file of its own, until a page is mended.
OPTIONS = "documentation_options"
# All that the first of these sheets does is to import the second.
IMPORTS = "_static/styles/theme.css", "_static/basic.css"
# Spaces on either side of × and · in a product, and before the % of a number.
TOGETHER = re.compile(r"(?<=[\d)]) (?=[×·%])|(?<=[×·]) (?=[\d(])")
# Code, whose colours are spans, and what nobody sees: their spaces stay.
CODE = {"script", "style", "pre", "code", "annotation", "span"}
EARLY = Path(__file__).with_name("early.js").read_text("utf-8")
# What a page can do without until it is read and its first scripts have run.
LATER = """
addEventListener("DOMContentLoaded", () => {
  for (const src of %s) {
    const script = document.createElement("script");
    document.head.append(Object.assign(script, { src, async: false }));
  }
});
"""


@cache
def icon_outlines():
    """Read Font Awesome's outlines: by name, the width, the height and the path."""
    script = (Path(pydata_sphinx_theme.__file__).parent / ICONS).read_text("utf-8")
    pattern = r'[{,]"?([a-z0-9-]+)"?:\[(\d+),(\d+),\[[^]]*\],"[0-9a-f]+","([^"]+)"'
    # The solid icons come last.
    return {f"fa-{name}": outline for name, *outline in re.findall(pattern, script)}


def draw_icons(page):
    """Put the outlines where the theme's script would put them."""
    for icon in page.cssselect("i[class*=fa-], span[class*=fa-]"):
        names = [name for name in icon.classes if name in icon_outlines()]
        if names:
            width, height, path = icon_outlines()[names[0]]
            icon.tag = "svg"
            icon.attrib.pop("title", None)
            icon.set("viewBox", f"0 0 {width} {height}")
            icon.set("class", f"svg-inline--fa {icon.get('class')}")
            icon.set("fill", "currentColor")
            icon.set("aria-hidden", "true")
            icon.append(E.path(d=path))


def drop_what_is_unused(page, static):
    """Keep the scripts that this page uses, and let the text come first."""
    unused = "|".join(
        words
        for words, selector in NEEDED_BY.items()
        if not (selector and page.cssselect(selector))
    )
    for tag in page.cssselect("script, link[rel=preload]"):
        source = tag.get("src") or f"{tag.get('type')} {tag.text}"
        if re.search(unused, source) or tag.get("rel") == "preload":
            tag.drop_tree()
        elif tag.get("src"):
            # In order, after the page is read.
            tag.set("defer", "")
            tag.attrib.pop("async", None)
    first(page, "script[data-cfasync]").text = EARLY
    # The scripts' options are few. After a style sheet, they would hold up the page.
    file = first(page, f"script[src*={OPTIONS}]")
    scripts = file.itersiblings("script")
    later = [tag for tag in scripts if "DOCUMENTATION_OPT" in tag.text_content()]
    options = (static / OPTIONS).with_suffix(".js").read_text("utf-8")
    inline = E.script("\n".join([options, *(tag.text_content() for tag in later)]))
    first(page, "link[rel=stylesheet]").addprevious(inline)
    for tag in [file, *later, *page.cssselect("meta[name=viewport]")[1:]]:
        tag.drop_tree()


def take_sheets(page, static):
    """Put one stylesheet in the place of all: a page waits for each of them.

    Those of the labs are in it, too: each that came later would make the browser look
    at every element of the page again.
    """
    one, *others = page.cssselect("link[rel=stylesheet]")
    folder, _, _ = one.get("href").partition("_static/")
    names = (tag.get("href")[len(folder) :].partition("?")[0] for tag in (one, *others))
    sheet = stylesheets.join(static, tuple(name.replace(*IMPORTS) for name in names))
    one.set("href", f"{folder}_static/{sheet.name}")
    for tag in others:
        tag.drop_tree()


def scripts_of(name, page, labs):
    """Give the addresses, on this page, of the scripts that a lab is built of."""
    common = first(page, "script[src*='labs/lab.js']").get("src")
    return [
        common.replace("/lab.js", f"/{part}.js")
        for part in lab_scripts.names(name, labs)
    ]


def bring_lab(page, labs):
    """Give a page the scripts of a lab in its first section."""
    head = page.cssselect("article h2, article [data-lab]")
    if not head or not (name := head[0].get("data-lab")):
        return
    earliest = first(page, "script[defer]")
    earliest.addprevious(first(page, "script[src*='labs/lab.js']"))
    for source in scripts_of(name, page, labs):
        earliest.addprevious(E.script(src=source, defer=""))
    # The reader came for the figure: menus and search can wait until it is there.
    others = page.cssselect("script[defer]:not([src*=labs]):not([src*=course])")
    sources = [tag.get("src") for tag in others]
    for tag in others:
        tag.drop_tree()
    page.head.append(E.script(LATER % json.dumps(sources)))


def mark_version(page, version):
    """Have a page ask for the labs' scripts of its own book, not for kept ones."""
    for tag in page.cssselect("script[src*='/labs/']"):
        source, _, _ = tag.get("src").partition("?")
        tag.set("src", f"{source}?v={version}")


def show_alone(page, path, labs):
    """Give each lab a page of its own, for a projector or for another site's frame."""
    head = "".join(
        written(tag)
        for tag in page.cssselect(
            "meta[charset], meta[name=viewport], meta[name=description], "
            "script[data-cfasync], link[rel=icon], link[rel=stylesheet], "
            "script[src*='labs/lab.js'], script[src*=course]"
        )
    )
    title, chapter = first(page, "h1").text, path.name
    for place in page.cssselect("[data-lab]"):
        name, style = place.get("data-lab"), place.get("style")
        inside = (place.text or "") + "".join(map(written, place))
        place.set("data-alone", f"figure-{name}.html")
        sources = scripts_of(name, page, labs)
        own = "".join(f'<script defer src="{src}"></script>' for src in sources)
        path.with_name(f"figure-{name}.html").write_text(
            f"""<!DOCTYPE html>
<html lang="en">
<head>{head}{own}<title>{title}: a figure — Recognize Digits</title></head>
<body><main class="bd-main"><article class="bd-article lab-alone">
<h1>{title}</h1>
<div data-lab="{name}" data-alone="" style="{style}">{inside}</div>
<p>This figure is from <a href="{chapter}">{title}</a>, in Recognize Digits.</p>
</article></main></body>
</html>
""",
            "utf-8",
        )


def lead_in(path, config):
    """Write the page that only leads to the book's first, with its preview."""
    page, title = f"{config.root_doc}.html", escape(config.html_title)
    book = html.document_fromstring((path.parent / page).read_text("utf-8"))
    preview = book.cssselect("meta[property^='og:'], meta[name=description]")
    path.write_text(
        f"""<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={page}">
{"".join(map(written, preview))}
<link rel="icon" href="_static/favicon.png"><title>{title}</title></head>
<body><a href="{page}">{title}</a></body></html>
""",
        "utf-8",
    )


def size_pictures(page, folder):
    """Say how large pictures are, so that nothing moves, and load those below later."""
    # One stored for sharp screens has its size as a style, and would not shrink.
    for image in page.cssselect("a[href*='_images/'] > img[style]"):
        style = image.attrib.pop("style")
        image.attrib.update(re.findall(r"(width|height): (\d+)px", style))
        image.getparent().drop_tag()  # the link led to the picture itself
    for i, image in enumerate(page.cssselect("img[src]")):
        source = image.get("src")
        if re.search(r"\b_images/.+\.png$", source) and not image.get("width"):
            with Image.open(folder / source) as picture:
                image.set("width", str(picture.width))
                image.set("height", str(picture.height))
        if i:
            image.attrib.update({"loading": "lazy", "decoding": "async"})


def mend_for_everyone(page):
    """Mend what a screen reader would stumble over in the theme's pages."""
    for sidebar in page.cssselect("#pst-primary-sidebar"):
        sidebar.set("role", "complementary")
        sidebar.set("aria-label", "Book")
    # Scripts listen to the first toggle of a sidebar: it must be the one in sight. (One
    # search field is enough, too: the sidebar has it, and narrow pages have a button.)
    for header in page.cssselect("header.bd-header"):
        header[:], header.text = [], ""
    for button in page.cssselect(".search-button__button"):
        words = " ".join(button.itertext()).split()
        button.set("aria-label", " ".join(words) or "Search")
    for head in page.cssselect("th"):
        if not head.text_content().strip() and head.find(".//img") is None:
            head.tag = "td"
            head.attrib.pop("scope", None)
    for entry in page.cssselect(".citation-list, .citation"):
        entry.attrib.pop("role", None)
    # These name themselves, better than their label does.
    for summary in page.cssselect("summary[aria-label]"):
        del summary.attrib["aria-label"]
    # A browser would show a notebook's source as text.
    for link in page.cssselect(".btn-download-source-button"):
        link.set("download", "")
        link.attrib.pop("target", None)
    for link in page.cssselect("a[target=_blank]"):
        link.set("rel", "noopener")
    # The search leaves out of its excerpts what has this class: a formula's source, the
    # contents for printing, the buttons.
    for part in page.cssselect("annotation, #jb-print-docs-body, .bd-header-article"):
        part.classes.add("headerlink")


def hold_together(page):
    """Let no line break within a product, or between a number and its sign."""
    for part in page.cssselect("article *, article"):
        if part.tag not in CODE:
            part.text = part.text and TOGETHER.sub("\N{NO-BREAK SPACE}", part.text)
        if part.getparent().tag not in CODE:
            part.tail = part.tail and TOGETHER.sub("\N{NO-BREAK SPACE}", part.tail)


def first(page, selector):
    """Find the first element that matches."""
    return page.cssselect(selector)[0]


def written(tag):
    """Write an element as HTML, without the text behind it."""
    return html.tostring(tag, encoding="unicode", with_tail=False)


def finish(app, error):
    """Mend each page, add the font for formulas, and shrink the styles."""
    if error or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    stylesheets.join.cache_clear()  # an earlier build's are gone, or others
    # The labs' scripts fit only together, so all have one version.
    scripts = [p.read_bytes() for p in sorted((static / "labs").rglob("*.js"))]
    version = sha256(b"".join(scripts)).hexdigest()[:8]
    for path in Path(app.outdir).rglob("*.html"):
        source = path.read_text("utf-8")
        # Not the theme's templates, nor a page that only leads to another, nor one that
        # was mended when it was built.
        if f"{OPTIONS}.js" in source:
            # Names, punctuation and spaces have the colour of their surroundings.
            source = re.sub(r'<span class="[npw]">([^<]*)</span>', r"\1", source)
            # A listing that is run as a test ends with an empty line.
            source = re.sub(r"\n\n+</pre>", "\n</pre>", source)
            page = html.document_fromstring(source)
            drop_what_is_unused(page, static)
            take_sheets(page, static)
            bring_lab(page, static / "labs")
            mark_version(page, version)
            draw_icons(page)
            if path.parts[-2:] == ("book", "index.html"):
                show_path(page, path.parent)
            size_pictures(page, path.parent)
            hold_together(page)
            mend_for_everyone(page)
            if not page.cssselect("meta[name=description]"):  # the search, and 404
                words = first(page, "title").text
                page.head.append(E.meta(name="description", content=words))
            show_alone(page, path, static / "labs")
            whole = html.tostring(page, encoding="unicode", doctype="<!DOCTYPE html>")
            path.write_text(whole, "utf-8")
    lead_in(Path(app.outdir, "index.html"), app.config)
    formulas.write_font(static / "math.woff")
    stylesheets.shrink(static)


def describe(doctree, *_):
    """Give the first sentences of a page, up to a formula: about 200 characters."""
    for paragraph in doctree.findall(nodes.paragraph):
        parts = [
            "\0" if isinstance(part, nodes.math) else part.astext()
            for part in paragraph.children
        ]
        words = " ".join("".join(parts).partition("\0")[0].split())
        text, *sentences = re.findall(r"\S.*?[.?!](?=\s|$)", words) or [""]
        for sentence in sentences:
            if len(text) + len(sentence) > 200:
                break
            text += f" {sentence}"
        # A badge is a paragraph, too.
        if text:
            return text
    return ""


def set_addresses(app, config):
    """Tell the extensions where the book is published, which they ask separately."""
    _, host, path, *_ = urlsplit(config.html_baseurl)
    config.notfound_urls_prefix = path
    config.ogp_site_url = config.html_baseurl
    config.ogp_social_cards["site_url"] = host + path


def want_files(app):
    """Turn builders away that give pages other names than links and pictures expect."""
    if app.builder.format == "html" and app.builder.name != "html":
        raise ExtensionError(
            f"the book cannot be built as {app.builder.name}: its pages are files, and "
            "name each other as such; build it as html, or print it with make pdf"
        )


def ask_about_doi(app, uri):
    """Ask doi.org whether it knows a DOI; many publishers turn programs away."""
    if uri.startswith("https://doi.org/"):
        return uri.replace("doi.org/", "doi.org/api/handles/")
    return None


def setup(app):
    """Register all with Sphinx."""
    # A build makes millions of nodes, few of them in cycles: looking for those took a
    # tenth of its time.
    gc.set_threshold(100_000)
    app.connect("linkcheck-process-uri", ask_about_doi)
    app.connect("config-inited", set_addresses)
    app.connect("builder-inited", want_files)
    # Its own descriptions stop in the middle of a word or a formula.
    sphinxext.opengraph.get_description = describe
    # Last: the theme writes its colours of code then, too.
    app.connect("build-finished", finish, priority=900)
    app.add_html_math_renderer(
        "mathml", (formulas.visit_inline, None), (formulas.visit_block, None)
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
