"""Write the digits that a lab learns from: book/_static/labs/digits.js.

They are the sample's: 4,000 to learn from and 1,000 held out, all of them training
digits of MNIST. Four grey levels instead of 256 hardly change what a linear model
learns from them, and all fit into a file of about 310 kB: four pixels that stand above
each other make a byte (columns compress better than rows), and zlib does the rest.

    python tools/make_lab_digits.py
"""

import base64
import zlib
from pathlib import Path

import numpy as np

from mnist_lesson import Digits, load_mnist

FILE = Path(__file__).parents[1] / "book" / "_static" / "labs" / "digits.js"
STEP = 85  # between grey levels: 0, 85, 170, 255
SCRIPT = """\
/* Real digits for the labs, in four grey levels; made by tools/make_lab_digits.py.
   From MNIST, by Yann LeCun, Corinna Cortes and Christopher J. C. Burges, CC BY-SA 3.0.

   What it defines: {{ train, test }}, each with `images`, a Uint8Array of N x 28 x 28
   grey levels from 0 (paper) to 255 (ink), and `labels`, a Uint8Array of N digits. */
"use strict";

lab.define("digits", lab.recipe(async function digits(names, packed) {{
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  // No Blob's stream: in a worker of a book on a disk, Safari may not read that.
  const start = (flow) => {{ flow.enqueue(bytes); flow.close(); }};
  const zipped = new ReadableStream({{ start }});
  const stream = zipped.pipeThrough(new DecompressionStream("deflate"));
  const quads = new Uint8Array(await new Response(stream).arrayBuffer());
  // A byte holds four pixels of a column, two bits each, the topmost lowest.
  const pixels = new Uint8Array(4 * quads.length);
  for (let row = 0; row < pixels.length / 28; row++) {{
    for (let column = 0; column < 28; column++) {{
      const quad = quads[28 * (row >> 2) + column];
      pixels[28 * row + column] = {step} * ((quad >> (2 * (row & 3))) & 3);
    }}
  }}
  let next = 0;
  const cut = (digits) => {{
    const labels = Uint8Array.from(digits, Number);
    const images = pixels.subarray(next, next += 784 * labels.length);
    return {{ images, labels }};
  }};
  return {{ train: cut(names.train), test: cut(names.test) }};
}}, {{
  train: "{train}",
  test: "{test}",
}}, "{packed}"));
"""


def few_levels(images: np.ndarray) -> np.ndarray:
    """Round grey levels to the nearest of the four; uint8 (N, 28, 28) to the same."""
    return (np.rint(images / STEP) * STEP).astype(np.uint8)


def script(train: Digits, test: Digits) -> str:
    """Return the script that holds these digits."""
    levels = np.concatenate([few_levels(d.images) for d in (train, test)]) // STEP
    quads = levels.reshape(-1, 4, 28).transpose(0, 2, 1)  # (rows / 4, columns, 4)
    packed = zlib.compress((quads << np.arange(0, 8, 2)).sum(2, np.uint8).tobytes(), 9)
    return SCRIPT.format(
        train="".join(map(str, train.labels)),
        test="".join(map(str, test.labels)),
        packed=base64.b64encode(packed).decode(),
        step=STEP,
    )


def main() -> None:
    """Write the file."""
    sample = load_mnist(source="sample", validation=0)
    FILE.write_text(script(sample.train, sample.test), "utf-8")
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
