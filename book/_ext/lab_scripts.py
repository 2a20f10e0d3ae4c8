"""The scripts that a lab is built of, so that a page can come with them."""

import re

MOST = 50_000  # bytes: what is longer, such as the models, would be in their way


def names(lab, labs):
    """List them by name, as they say themselves: lab.define("name", ["part", …], …).

    lab.js would ask for a lab only when it is read itself, for its parts when the lab
    is, and so on.
    """
    short = {path.stem for path in labs.glob("*.js") if path.stat().st_size < MOST}
    parts = [lab, "share"]
    for part in parts:  # it grows
        script = (labs / f"{part}.js").read_text("utf-8")
        named = re.search(r'lab\.define\(\s*"\w+",\s*\[([^]]*)\]', script)
        needed = re.findall(r"\w+", named[1]) if named else []
        parts += [other for other in needed if other in short - {*parts}]
    return parts
