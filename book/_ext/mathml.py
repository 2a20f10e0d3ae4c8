"""From TeX to MathML, which browsers typeset and read aloud without a script.

Only the TeX that a book like this one uses: an unknown command is an error, and a line
in one of the tables below teaches it. Spacing follows the TeXbook's chapter 18.
"""

import re
import unicodedata
from html import escape

# What stands between two neighbours: a row for the left one's class, a column for the
# right one's. 3 and t are a thin space, m a medium, k a thick one; scripts keep only 3.
CLASSES = ["ord", "op", "bin", "rel", "open", "close", "punct", "inner"]
BETWEEN = {
    "ord": "03mk000t",
    "op": "33 k000t",
    "bin": "mm  m  m",
    "rel": "kk 0k00k",
    "open": "00 00000",
    "close": "03mk000t",
    "punct": "tt ttttt",
    "inner": "t3mkt0tt",
}
EM = {"0": 0, " ": 0, "3": 3 / 18, "t": 3 / 18, "m": 4 / 18, "k": 5 / 18}

SPACES = {",": 3, ":": 4, ";": 5, "!": -3, " ": 6, "quad": 18, "qquad": 36}
SYMBOLS = {
    "ord": r"infty:∞ partial:∂ nabla:∇ top:⊤ bot:⊥ cdots:⋯ vdots:⋮ ddots:⋱"
    r" ell:ℓ forall:∀ exists:∃ emptyset:∅ prime:′ |:‖ %:% &:& #:# _:_ $:$"
    r" phi:ϕ varphi:φ epsilon:ϵ varepsilon:ε",
    "bin": r"times:× cdot:⋅ pm:± mp:∓ div:÷ odot:⊙ oplus:⊕ otimes:⊗ circ:∘ ast:∗ cup:∪"
    r" cap:∩ setminus:∖ wedge:∧ vee:∨",
    "rel": r"le:≤ leq:≤ ge:≥ geq:≥ ne:≠ neq:≠ approx:≈ equiv:≡ sim:∼ propto:∝ in:∈ ll:≪"
    r" gg:≫ notin:∉ subset:⊂ subseteq:⊆ mid:∣ to:→ rightarrow:→ leftarrow:← gets:←"
    r" Rightarrow:⇒ Leftrightarrow:⇔ leftrightarrow:↔ mapsto:↦ implies:⇒ iff:⇔",
    "open": r"lfloor:⌊ lceil:⌈ langle:⟨ lvert:| lVert:‖ {:{",
    "close": r"rfloor:⌋ rceil:⌉ rangle:⟩ rvert:| rVert:‖ }:}",
    "punct": "colon::",
    "inner": "dots:… ldots:…",
}
COMMANDS = {
    name: (kind, char)
    for kind, words in SYMBOLS.items()
    for name, char in (word.split(":", 1) for word in words.split())
}
for char in "αβγδζηθικλμνξοπρστυχψωΓΔΘΛΞΠΣΥΦΨΩ":
    name = unicodedata.name(char).split()[-1].replace("LAMDA", "LAMBDA")
    COMMANDS[name.title() if char.isupper() else name.lower()] = ("ord", char)
CHARACTERS = {
    **{char: ("bin", char) for char in "+∗×·±"},
    **{"-": ("bin", "−"), "*": ("bin", "∗")},
    **{char: ("rel", char) for char in "=<>:≤≥≠≈→←∈"},
    **{char: ("open", char) for char in "(["},
    **{char: ("close", char) for char in ")]!?"},
    **{char: ("punct", char) for char in ",;"},
    **{char: ("ord", char) for char in "/|.@…∞"},
}
LARGE = {"sum": "∑", "prod": "∏", "int": "∫"}
FUNCTIONS = "arg cos cosh det dim exp ker ln log sin sinh tan tanh Pr".split()
WITH_LIMITS = "max min sup inf lim argmax argmin".split()
ACCENTS = {"hat": "ˆ", "tilde": "˜", "bar": "¯", "vec": "→", "dot": "˙", "ddot": "¨"}
BRACES = {"underbrace": ("munder", "⏟"), "overbrace": ("mover", "⏞")}
FENCES = {"matrix": "..", "pmatrix": "()", "bmatrix": "[]", "vmatrix": "||"}
TABLES = {"cases", "aligned", "split", "align", "align*", *FENCES}
TOKEN = re.compile(r"\\(?:[A-Za-z]+\*?|.)|\d+(?:\.\d+)?|\s+|.", re.S)


class TexError(ValueError):
    """TeX that this module does not know."""


def mathml(tex, *, display=False):
    """Typeset a formula.

    Parameters
    ----------
    tex : str
        The formula, without dollars.
    display : bool
        On a line of its own, and larger.

    Returns
    -------
    str
        A ``<math>`` element, which holds the TeX too, for those who copy it.

    Raises
    ------
    TexError
        When the formula holds something unknown, or is not closed.
    """
    parser = _Parser(tex, display)
    body = parser.table("aligned")
    if parser.peek():
        raise TexError(f"{parser.peek()} is too much")
    kind = ' display="block"' if display else ""
    note = (
        f'<annotation encoding="application/x-tex">{escape(tex.strip())}</annotation>'
    )
    return f"<math{kind}><semantics>{body}{note}</semantics></math>"


def _mo(char, **attributes):
    """Write an operator, without the spaces that browsers would add."""
    attributes = {"stretchy": "false", "lspace": "0", "rspace": "0"} | attributes
    text = "".join(f' {name}="{value}"' for name, value in attributes.items())
    return f"<mo{text}>{escape(char)}</mo>"


def _space(em):
    return f'<mspace width="{em:.3g}em"></mspace>' if em else ""


def _row(parts):
    return parts[0] if len(parts) == 1 else f"<mrow>{''.join(parts)}</mrow>"


def _line(atoms, script):
    """Set atoms side by side: pairs of a class (None for a space) and MathML."""
    parts, left = [], None
    for i, (kind, text) in enumerate(atoms):
        if kind == "bin":
            # It joins nothing: a sign.
            after = next((kind for kind, _ in atoms[i + 1 :] if kind), None)
            if left in (None, "op", "bin", "rel", "open", "punct") or after in (
                None, "rel", "close", "punct",
            ):  # fmt: skip
                kind = "ord"
        if kind and left:
            code = BETWEEN[left][CLASSES.index(kind)]
            parts.append(_space(EM[code] if code == "3" or not script else 0))
        parts.append(text)
        left = kind or left
    return _row([part for part in parts if part])


class _Parser:
    """Read TeX token by token; ``display`` and ``script`` say how large."""

    def __init__(self, tex, display, script=False):
        self.tokens = TOKEN.findall(tex)
        self.display, self.script = display, script

    def peek(self, skip=True):
        while skip and self.tokens and self.tokens[0].isspace():
            del self.tokens[0]
        return self.tokens[0] if self.tokens else None

    def next(self):
        token = self.peek()
        if token is None:
            raise TexError("it ends too early")
        return self.tokens.pop(0)

    def expect(self, *wanted):
        for token in wanted:
            if self.next() != token:
                raise TexError(f"{token} is missing")

    def raw(self):
        """Read a group, or one token, as plain text."""
        if self.peek() != "{":
            return self.next()
        self.expect("{")
        depth, text = 1, ""
        while depth:
            token = self.tokens.pop(0) if self.tokens else self.next()
            depth += (token == "{") - (token == "}")
            text += token
        return text[:-1]

    def within(self, read, **state):
        """Read something in another style, and return to this one."""
        before = self.display, self.script
        self.display = state.get("display", self.display)
        self.script = state.get("script", self.script)
        try:
            return read()
        finally:
            self.display, self.script = before

    def group(self, **state):
        """Read what a command is applied to: one token, or a group in braces."""
        return self.within(lambda: self.nucleus()[1], **state)

    def line(self, *ends):
        """Read up to one of the tokens that end a line."""
        atoms = []
        while self.peek() not in ends:
            if self.peek() is None:
                raise TexError(f"{' or '.join(filter(None, ends))} is missing")
            atoms.append(self.atom())
        return _line(atoms, self.script) if atoms else "<mrow></mrow>"

    def table(self, name):
        """Read rows of cells, up to the end of the table or of the formula."""
        rows, inner = [[]], name not in ("aligned", "split", "align", "align*")

        def cell():
            return self.line("&", "\\\\", "\\end", None)

        while True:
            rows[-1].append(self.within(cell, display=False) if inner else cell())
            end = self.peek()
            if end not in ("&", "\\\\"):
                break
            self.next()
            if end == "\\\\":
                rows.append([])
        if rows == [rows[0][:1]]:
            return rows[0][0]
        cells = "".join(
            f"<mtr>{''.join(f'<mtd>{cell}</mtd>' for cell in row)}</mtr>"
            for row in rows
        )
        style = "" if inner else ' displaystyle="true"'
        return f'<mtable class="tex-{name.strip("*")}"{style}>{cells}</mtable>'

    def atom(self):
        """Read a nucleus with its primes and scripts."""
        kind, base, limits = (*self.nucleus(), False)[:3]
        sub = sup = None
        while (mark := self.peek()) in ("^", "_", "'"):
            self.next()
            if mark == "'":
                # Not a script: fonts draw the prime small and high already.
                base = _row([base, _mo("′")])
            elif mark == "^" and sup is None:
                sup = self.group(display=False, script=True)
            elif mark == "_" and sub is None:
                sub = self.group(display=False, script=True)
            else:
                raise TexError("two scripts in one place")
        if sub or sup:
            under = limits == "always" or (limits and self.display)
            names = ("munder", "mover") if under else ("msub", "msup")
            both = names[0] + names[1][1:]
            name = both if sub and sup else names[0] if sub else names[1]
            base = f"<{name}>{base}{sub or ''}{sup or ''}</{name}>"
        return kind, base

    def delimiter(self, **attributes):
        token = self.next()
        char = COMMANDS.get(token[1:], (0, token))[1] if token[0] == "\\" else token
        return "" if char == "." else _mo(char, stretchy="true", **attributes)

    def nucleus(self):
        """Read one thing: its class, its MathML, and where its limits go."""
        token = self.next()
        name = token[1:] if token[0] == "\\" else None
        if token == "{":
            body = self.line("}")
            self.expect("}")
            return "ord", body
        if token[0].isdigit():
            return "ord", f"<mn>{token}</mn>"
        if name is None and token.isalpha():
            return "ord", f"<mi>{token}</mi>"
        if name is None and token in CHARACTERS:
            kind, char = CHARACTERS[token]
            return kind, _mo(char)
        if name in COMMANDS:
            kind, char = COMMANDS[name]
            if char.isupper():
                return kind, f'<mi mathvariant="normal">{char}</mi>'
            letter = char.isalpha() or char in "∂∇∞"
            return kind, f"<mi>{char}</mi>" if letter else _mo(char)
        if name in SPACES:
            return None, _space(SPACES[name] / 18)
        if token == "~":
            return None, _space(SPACES[" "] / 18)
        if name in LARGE:
            big = _mo(LARGE[name], largeop="true", movablelimits="false")
            return "op", big, name != "int"
        if name in FUNCTIONS or name in WITH_LIMITS:
            return "op", f"<mi>{name}</mi>", name in WITH_LIMITS
        if name in ("operatorname", "operatorname*"):
            return "op", f"<mi>{escape(self.raw())}</mi>", name.endswith("*")
        if name in ("text", "mathrm", "textbf", "textit"):
            text = escape(self.raw()).replace(" ", "\N{NO-BREAK SPACE}")
            return "ord", f"<mtext>{text}</mtext>"
        if name in ("mathbf", "boldsymbol", "mathbb"):
            return "ord", f"<mi>{_styled(self.raw(), name)}</mi>"
        if name in ("frac", "tfrac", "dfrac"):
            style = {"frac": "", "tfrac": "false", "dfrac": "true"}[name]
            style = style and f' displaystyle="{style}"'
            above, below = self.group(display=False), self.group(display=False)
            return "inner", f"<mfrac{style}>{above}{below}</mfrac>"
        if name == "sqrt":
            if self.peek() != "[":
                return "ord", f"<msqrt>{self.group()}</msqrt>"
            self.expect("[")
            degree = self.within(lambda: self.line("]"), display=False, script=True)
            self.expect("]")
            return "ord", f"<mroot>{self.group()}{degree}</mroot>"
        if name in ACCENTS:
            accent = _mo(ACCENTS[name])
            return "ord", f'<mover accent="true">{self.group()}{accent}</mover>'
        if name == "overline":
            line = _mo("¯", stretchy="true")
            return "ord", f"<mover>{self.group()}{line}</mover>"
        if name in BRACES:
            tag, brace = BRACES[name]
            brace = _mo(brace, stretchy="true")
            return "op", f"<{tag}>{self.group()}{brace}</{tag}>", "always"
        if name == "left":
            left = self.delimiter(form="prefix")
            body = self.line("\\right")
            self.expect("\\right")
            return "inner", _row([left, body, self.delimiter(form="postfix")])
        if found := re.fullmatch("([bB]igg?)([lrm]?)", name or ""):
            size = {"big": 1.2, "Big": 1.8, "bigg": 2.4, "Bigg": 3}[found[1]]
            kind = {"l": "open", "r": "close", "m": "rel", "": "ord"}[found[2]]
            return kind, self.delimiter(minsize=f"{size}em", maxsize=f"{size}em")
        if name in ("displaystyle", "textstyle"):
            self.display = name == "displaystyle"
            body = self.line("}", "&", "\\\\", "\\end", "\\right", None)
            return (
                "ord",
                f'<mstyle displaystyle="{str(self.display).lower()}">{body}</mstyle>',
            )
        if name == "begin":
            kind = self.raw()
            if kind not in TABLES:
                raise TexError(f"unknown environment {kind}")
            body = self.table(kind)
            self.expect("\\end")
            if self.raw() != kind:
                raise TexError(f"\\end{{{kind}}} is missing")
            left, right = FENCES.get(kind, "{." if kind == "cases" else "..")
            fences = [
                _mo(char, stretchy="true", form=form) if char != "." else ""
                for char, form in ((left, "prefix"), (right, "postfix"))
            ]
            return "inner", _row(
                [part for part in (fences[0], body, fences[1]) if part]
            )
        raise TexError(f"unknown {token}")


def _styled(text, style):
    """Write letters in bold, or with a doubled stroke."""
    wanted = {"mathbb": "DOUBLE-STRUCK"}.get(style, "MATHEMATICAL BOLD")
    result = ""
    for char in text:
        case = "CAPITAL" if char.isupper() else "SMALL"
        for prefix in "", "MATHEMATICAL ":
            name = f"{prefix}{wanted} {case} {char.upper()}"
            if char.isascii() and char.isalpha() and _exists(name):
                result += unicodedata.lookup(name)
                break
        else:
            raise TexError(f"\\{style} of {char}")
    return result


def _exists(name):
    try:
        return bool(unicodedata.lookup(name))
    except KeyError:
        return False
