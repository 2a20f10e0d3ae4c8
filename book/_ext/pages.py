"""Sphinx extension: pages that are light, self-contained and usable by everyone.

Formulas become MathML while the book is built. Every page that the theme has rendered
is then mended: it loads only the scripts and styles that it uses, its icons and the
size of its pictures stand in the page, and assistive technology stumbles no more.
"""

import re
from functools import cache
from html import escape
from pathlib import Path
from urllib.parse import urlsplit

import pydata_sphinx_theme
import sphinxext.opengraph
import stylesheets
from bs4 import BeautifulSoup
from docutils import nodes
from math_core import LatexError, LatexToMathML
from math_font import write_font
from PIL import Image
from sphinx.jinja2glue import BuiltinTemplateLoader
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number

logger = logging.getLogger(__name__)
FORMULAS = LatexToMathML(annotation=True, fancy_error=False)
ICONS = "theme/pydata_sphinx_theme/static/scripts/fontawesome.js"

# What the theme puts on every page, and the selector of what on the page uses it. The
# empty selector matches nothing: thebe comes from another host, fontawesome.js weighs
# 1.5 MB, and search.html has the search's own scripts.
NEEDED_BY = {
    "thebe": "",
    "THEBE": "",
    "kernelName": "",
    "fontawesome.js": "",
    "searchtools.js": "#search-results",
    "language_data.js": "#search-results",
    "searchindex.js": "#search-results",
    "sphinx-design": "[class*=sd-]",
    "design-tabs.js": "[class*=sd-]",
    "toggleHint": ".toggle, .admonition.dropdown",
    "toggleOpen": ".toggle, .admonition.dropdown",
    "togglebutton": ".toggle, .admonition.dropdown",
    "clipboard": "div.highlight",
    "copybutton": "div.highlight",
    "mystnb": ".cell",
}
# The light or dark theme is chosen before anything is painted.
THEME = """
let { mode, theme } = { mode: "auto", theme: "auto" };
try {
  mode = localStorage.getItem("mode") || mode;
  theme = localStorage.getItem("theme") || theme;
} catch { /* A browser may refuse to store anything. */ }
const dark = matchMedia("(prefers-color-scheme: dark)").matches;
if (mode === "auto") theme = dark ? "dark" : "light";
Object.assign(document.documentElement.dataset, { mode, theme });
"""


@cache
def icon_outlines():
    """Read Font Awesome's outlines: by name, the width, the height and the path."""
    script = (Path(pydata_sphinx_theme.__file__).parent / ICONS).read_text("utf-8")
    pattern = r'[{,]"?([a-z0-9-]+)"?:\[(\d+),(\d+),\[[^]]*\],"[0-9a-f]+","([^"]+)"'
    # The solid icons come last.
    return {name: outline for name, *outline in re.findall(pattern, script)}


def draw_icons(page):
    """Put the outlines where the theme's script would put them."""
    for icon in page.select("i[class*=fa-], span[class*=fa-]"):
        classes = icon["class"]
        name = next(
            (
                c[3:]
                for c in classes
                if c.startswith("fa-") and c[3:] in icon_outlines()
            ),
            None,
        )
        if name is None:
            continue
        width, height, path = icon_outlines()[name]
        data = {key: icon[key] for key in icon.attrs if key.startswith("data-")}
        svg = page.new_tag(
            "svg",
            attrs={
                "class": ["svg-inline--fa", *classes],
                "viewBox": f"0 0 {width} {height}",
                "fill": "currentColor",
                "aria-hidden": "true",
            }
            | data,
        )
        svg.append(page.new_tag("path", d=path))
        icon.replace_with(svg)


def drop_what_is_unused(page):
    """Keep the scripts and styles that this page uses, and let the text come first."""
    for tag in page.select("script, link[rel=stylesheet], link[rel=preload]"):
        source = tag.get("src") or tag.get("href") or f"{tag.get('type')} {tag.string}"
        unused = any(
            word in source and not (selector and page.select_one(selector))
            for word, selector in NEEDED_BY.items()
        )
        if unused or tag.get("rel") == ["preload"]:
            tag.decompose()
        elif tag.get("src") and "documentation_options" not in source:
            # In order, after the page is read; only the options are set at once.
            tag["defer"] = ""
            del tag["async"]
    page.select_one("script[data-cfasync]").string = THEME
    for tag in page.select("meta[name=viewport]")[1:]:
        tag.decompose()


def size_pictures(page, folder):
    """Say how large pictures are, so that nothing moves, and load those below later."""
    for i, image in enumerate(page.select("img[src]")):
        source = folder(image["src"])
        if source and source.suffix == ".png" and not image.get("width"):
            with Image.open(source) as picture:
                image["width"], image["height"] = map(str, picture.size)
        if i:
            image["loading"] = "lazy"
            image["decoding"] = "async"


def mend_for_everyone(page):
    """Mend what a screen reader would stumble over in the theme's pages."""
    sidebar = page.select_one("#pst-primary-sidebar")
    if sidebar:
        sidebar["role"], sidebar["aria-label"] = "complementary", "Book"
    # Scripts listen to the first toggle of a sidebar: it must be the one in sight. (One
    # search field is enough, too: the sidebar has it, and narrow pages have a button.)
    if header := page.select_one("header.bd-header"):
        header.clear()
    for button in page.select(".search-button__button"):
        words = " ".join(button.get_text(" ").split())
        button["aria-label"] = words or "Search"
    for head in page.select("th"):
        if not head.get_text(strip=True) and not head.find("img"):
            head.name = "td"
    for entry in page.select(".citation-list, .citation"):
        del entry["role"]
    # These name themselves, better than their label does.
    for summary in page.select("summary[aria-label]"):
        del summary["aria-label"]
    for link in page.select("a[target=_blank]"):
        link["rel"] = "noopener"
    # The search leaves out of its excerpts what has this class: a formula's source, the
    # contents for printing, the buttons.
    for part in page.select("annotation, #jb-print-docs-body, .bd-header-article"):
        part["class"] = [*part.get("class", []), "headerlink"]


class Pages(BuiltinTemplateLoader):
    """Sphinx's own templates, and what is mended in their result."""

    def init(self, builder, theme=None, dirs=None):
        """Remember who builds: it knows where pictures come from."""
        super().init(builder, theme, dirs)
        self.builder = builder

    def find_picture(self, source):
        """Find the file that a page shows from _images or _static."""
        builder, path = self.builder, Path(source.partition("?")[0])
        if path.parent.name == "_images":
            names = {name: file for file, name in builder.images.items()}
            path = Path(builder.srcdir, names.get(path.name, path.name))
        return path if path.is_file() else None

    def render(self, template, context):
        """Render a page, and mend it."""
        html = super().render(template, context)
        if not template.endswith(".html") or "<body" not in html:
            return html
        # Names, punctuation and spaces have the colour of their surroundings.
        html = re.sub(r'<span class="[npw]">([^<]*)</span>', r"\1", html)
        page = BeautifulSoup(html, "html.parser")
        drop_what_is_unused(page)
        draw_icons(page)
        size_pictures(page, self.find_picture)
        mend_for_everyone(page)
        return str(page)


def typeset(node, display):
    """Turn a formula's node into MathML; what is not understood is a warning."""
    tex = node.astext()
    # The font draws a prime small and high already: it is no superscript.
    primed = tex.replace("'", r"{\prime}")
    try:
        html = FORMULAS.convert_with_local_state(primed, displaystyle=display)
    except LatexError as error:
        logger.warning("formula: %s: %s", error, tex, location=node)
        return f"<code>{escape(tex)}</code>"
    return html.replace(escape(primed, quote=False), escape(tex, quote=False))


def visit_inline(self, node):
    """Write a formula within a sentence."""
    self.body.append(typeset(node, display=False))
    raise nodes.SkipNode


def visit_block(self, node):
    """Write a formula on a line of its own, with its number if it has one."""
    # The theme's container for what may be too wide: keys reach it where it scrolls.
    classes = "math pst-scrollable-table-container"
    self.body.append(self.starttag(node, "div", CLASS=classes))
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(typeset(node, display=True) + "</div>\n")
    raise nodes.SkipNode


def finish(app, error):
    """Put the font for formulas beside the style that names it; shrink all styles."""
    if not error and app.builder.format == "html":
        static = Path(app.outdir) / "_static"
        write_font(static / "math.woff")
        stylesheets.shrink(static)


def describe(doctree, *_):
    """Give the first sentences of a page, up to a formula: about 200 characters."""
    for paragraph in doctree.findall(nodes.paragraph):
        words, _, _ = "".join(
            "\0" if isinstance(part, nodes.math) else part.astext()
            for part in paragraph.children
        ).partition("\0")
        sentences = re.findall(r"\S.*?[.?!](?=\s|$)", words, re.S)
        # A badge is a paragraph, too.
        if sentences:
            text = sentences[0]
            for sentence in sentences[1:]:
                if len(text) + len(sentence) > 200:
                    break
                text += f" {sentence}"
            return " ".join(text.split())
    return ""


def set_addresses(app, config):
    """Tell the extensions where the book is published, which they ask separately."""
    _, host, path, *_ = urlsplit(config.html_baseurl)
    config.notfound_urls_prefix = path
    config.ogp_site_url = config.html_baseurl
    config.ogp_social_cards["site_url"] = host + path


def ask_about_doi(app, uri):
    """Ask doi.org whether it knows a DOI; many publishers turn programs away."""
    if uri.startswith("https://doi.org/"):
        return uri.replace("doi.org/", "doi.org/api/handles/")
    return None


def setup(app):
    """Register all with Sphinx."""
    app.connect("linkcheck-process-uri", ask_about_doi)
    app.connect("config-inited", set_addresses)
    # Its own descriptions stop in the middle of a word or a formula.
    sphinxext.opengraph.get_description = describe
    app.connect("build-finished", finish)
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
