"""Leave out of the stylesheets what no page of this book uses.

The theme styles whatever a site may want, in 400 kB that are read before a page can be
shown; a phone on a slow network waits three seconds for them.
"""

import re

import tinycss2
from tinycss2.ast import AtRule, QualifiedRule


def shrink(static):
    """Rewrite each stylesheet of a built book's static folder."""
    occurs = classes(static.parent)
    for path in static.rglob("*.css"):
        rules = tinycss2.parse_stylesheet(
            path.read_text("utf-8"), skip_comments=True, skip_whitespace=True
        )
        path.write_text(written(rules, occurs), "utf-8")


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
    return lambda name: name in used or name.startswith(tuple(beginnings))


def written(rules, occurs):
    """Write the rules that may match something, those within @media, too."""
    lines = []
    for rule in rules:
        text = tinycss2.serialize([rule])
        if isinstance(rule, QualifiedRule) and not matches(rule.prelude, occurs):
            continue
        if isinstance(rule, AtRule) and rule.lower_at_keyword in ("media", "supports"):
            inner = tinycss2.parse_rule_list(
                rule.content, skip_comments=True, skip_whitespace=True
            )
            if not (inside := written(inner, occurs)):
                continue
            text = f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{inside}}}"
        lines.append(text)
    return "\n".join(lines)


def matches(prelude, occurs):
    """Tell whether one of the selectors names only classes that occur."""
    possible = True
    for before, token in zip([None, *prelude], [*prelude, None], strict=True):
        if token is None or token == ",":
            if possible:
                return True
            possible = True
        elif before == "." and token.type == "ident":
            possible = possible and occurs(token.value)
    return False
