"""Leave out of the stylesheets what no page of this book uses.

The theme styles whatever a site may want, in 400 kB that are read before a page can be
shown; a phone on a slow network waits three seconds for them.
"""

import os
import re
from functools import cache
from graphlib import TopologicalSorter
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import tinycss2
from tinycss2.ast import AtRule, QualifiedRule

IMPORT = r'(?m)^@import url\("(\w+\.css)"\);$'


def of_labs(folder):
    """Name the labs' own sheets: what all share first, and what one imports before it.

    (Within another sheet, an import would not be at its beginning.)
    """
    imports = {
        path.name: re.findall(IMPORT, path.read_text("utf-8"))
        for path in sorted(folder.glob("*.css"))
    }
    shared = {name: ["lab.css", *names] for name, names in imports.items()}
    return TopologicalSorter(shared | {"lab.css": []}).static_order()


@cache
def join(static, names):
    """Write some sheets of a built book, and those of its labs, as one; give its path.

    It is named by its contents. The sheets are named as from the folder of the book,
    and it stands in that of the `static` files.
    """

    def move(address):
        moved = os.path.relpath(sheet.parent / address[2], static)
        return f"url({Path(moved).as_posix()})"

    whole, labs = "", static / "labs"
    others = map(static.parent.joinpath, names)
    for sheet in (*others, *map(labs.joinpath, of_labs(labs))):
        # Addresses are relative to their sheet; data:… and #… are none.
        address = r"""url\((["']?)([^"'):#]+)\1\)"""
        text = sheet.read_text("utf-8")
        if sheet.parent == labs:
            text = re.sub(IMPORT, "", text)
        whole += re.sub(address, move, text) + "\n"
    path = static / f"book-{sha256(whole.encode()).hexdigest()[:8]}.css"
    path.write_text(whole, "utf-8")
    return path


def shrink(static):
    """Rewrite the stylesheets that the pages of a built book load."""
    occurs = classes(static.parent)
    for path in static.glob("book-*.css"):
        path.write_text(written(path.read_text("utf-8"), occurs), "utf-8")


def classes(book):
    """Find the classes that occur; return a function that tells whether one does.

    They stand in the pages, or a script sets them, whole or made of a beginning.
    """
    used, beginnings = set(), set()
    for page in book.rglob("*.html"):
        for names in re.findall(r'class="([^"]*)"', page.read_text("utf-8")):
            used.update(names.split())
    for script in book.rglob("*.js"):
        if script.name not in ("fontawesome.js", "searchindex.js"):  # in no page
            text = script.read_text("utf-8")
            used.update(re.findall(r"[\w-]+", text))
            beginnings.update(re.findall(r"(\w[\w-]*-)(?:\$\{|[\"'`] ?\+)", text))
    made = tuple(beginnings)
    return lambda name: name in used or name.startswith(made)


def written(css, occurs):
    """Write the rules that may match something, those within @media, too.

    `css` is the text of a stylesheet, or what is within such a rule.
    """
    lines = []
    for rule in tinycss2.parse_rule_list(css, skip_comments=True, skip_whitespace=True):
        if isinstance(rule, QualifiedRule) and not matches(rule.prelude, occurs):
            continue
        if isinstance(rule, AtRule) and rule.lower_at_keyword in ("media", "supports"):
            if inside := written(rule.content, occurs):
                condition = tinycss2.serialize(rule.prelude)
                lines.append(f"@{rule.at_keyword}{condition}{{{inside}}}")
        else:
            lines.append(tinycss2.serialize([rule]))
    return "\n".join(lines)


def matches(prelude, occurs):
    """Tell whether one of the selectors names only classes that occur."""
    selectors = [[]]
    for before, token in pairwise([None, *prelude]):
        if token == ",":
            selectors.append([])
        elif before == "." and token.type == "ident":
            selectors[-1].append(token.value)
    return any(all(map(occurs, names)) for names in selectors)
