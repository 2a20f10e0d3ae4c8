/* Windows, pieces and boxes: what framing.js needs of what scipy.ndimage is in Python.
   A picture is a typed array, row after row. */
"use strict";

lab.define("image", [], function image() {
  const { abs, ceil, floor, max, min } = Math;

  /* The sums of square windows. Beyond its ends a row goes on at its last value,
     "edge", or at its mirror image, "symmetric". */
  function sums(values, height, width, radius, mode) {
    const rows = sumRows(values, height, width, radius, mode);
    return sumRows(rows, width, height, radius, mode);
  }

  /* The same along each row. The result lies on its side, here and below, so that doing
     it twice serves rows and columns. */
  function sumRows(values, height, width, radius, mode) {
    const turned = new Int32Array(values.length);
    const places = Int32Array.from({ length: width + 2 * radius }, (_, at) => {
      const x = at - radius, folded = ((x % (2 * width)) + 2 * width) % (2 * width);
      if (mode === "edge") return max(0, min(x, width - 1));
      return min(folded, 2 * width - 1 - folded);
    });
    for (let y = 0; y < height; y++) {
      const row = y * width;
      let sum = 0;
      for (let x = 0; x < places.length; x++) {
        sum += values[row + places[x]];
        if (x < 2 * radius) continue;
        turned[(x - 2 * radius) * height + y] = sum;
        sum -= values[row + places[x - 2 * radius]];
      }
    }
    return turned;
  }

  /* The largest of 2 · radius + 1 neighbours, in rows that go on for `margin` pixels at
     either end, with their last value or the one given. The largest of 2 n numbers is
     the larger of two that each are the largest of n: what is seen doubles. */
  function spreadRows(values, height, width, radius, margin = radius, beyond = -1) {
    const block = 2 * radius + 1;
    const length = width + 2 * margin, count = length - 2 * radius;
    const long = new Uint8Array(length), turned = new Uint8Array(height * count);
    for (let y = 0; y < height; y++) {
      const row = values.subarray(y * width, (y + 1) * width);
      const [first, last] = beyond < 0 ? [row[0], row[width - 1]] : [beyond, beyond];
      long.fill(first, 0, margin).fill(last, margin + width).set(row, margin);
      for (let seen = 1, more = 1; seen < block; seen += more) {
        more = min(seen, block - seen);
        for (let x = 0; x < length - more; x++) {
          if (long[x + more] > long[x]) long[x] = long[x + more];
        }
      }
      for (let x = 0; x < count; x++) turned[x * height + y] = long[x];
    }
    return turned;
  }

  /* What is within `down` rows and `across` columns of a mark. */
  function spread(marks, height, width, down, across) {
    const wider = spreadRows(marks, height, width, across, across, 0);
    return spreadRows(wider, width, height, down, down, 0);
  }

  const inverse = (grey) => grey.map((level) => 255 - level);

  /* The light spread in square windows, and then the dark. */
  function closing(grey, height, width, radius, beyond) {
    const tall = height + 2 * radius, broad = width + 2 * radius;
    let paper = spreadRows(grey, height, width, radius, 2 * radius, beyond);
    paper = inverse(spreadRows(paper, broad, height, radius, 2 * radius, beyond));
    paper = spreadRows(paper, tall, broad, radius, 0);
    return inverse(spreadRows(paper, width, tall, radius, 0));
  }

  /* Connected pieces, diagonals included, labelled from 1 to count in the order of
     their first pixels, 0 elsewhere; their sizes, and the ink in them. */
  function pieces(marks, ink, height, width) {
    const labels = new Int32Array(marks.length), stack = [];
    const found = [{ area: 0, mass: 0, tall: 0, broad: 0 }];
    for (let first = 0; first < marks.length; first++) {
      if (!marks[first] || labels[first]) continue;
      const label = found.length;
      let area = 0, mass = 0, top = height, bottom = -1, left = width, right = -1;
      labels[first] = label;
      stack.push(first);
      while (stack.length) {
        const i = stack.pop(), x = i % width, y = (i - x) / width;
        area++;
        mass += ink[i];
        [top, bottom] = [min(top, y), max(bottom, y)];
        [left, right] = [min(left, x), max(right, x)];
        const from = max(0, x - 1), to = min(width - 1, x + 1);
        for (let v = max(0, y - 1); v <= min(height - 1, y + 1); v++) {
          for (let near = v * width + from; near <= v * width + to; near++) {
            if (!marks[near] || labels[near]) continue;
            labels[near] = label;
            stack.push(near);
          }
        }
      }
      found.push({ area, mass, tall: bottom - top + 1, broad: right - left + 1 });
    }
    return { labels, found };
  }

  /* Where the marked part begins and ends, ends exclusive. */
  function extent(marks, height, width) {
    let top = height, bottom = 0, left = width, right = 0;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        if (!marks[i++]) continue;
        top = min(top, y);
        bottom = y + 1;
        left = min(left, x);
        right = max(right, x + 1);
      }
    }
    return { top, bottom, left, right, size: max(bottom - top, right - left) };
  }

  /* Redraw with a nib wider by `radius` on each side (thinner if negative). */
  function thicken({ values, height, width }, radius) {
    const reach = ceil(abs(radius)), better = radius > 0 ? max : min;
    const tall = height + 2 * reach, broad = width + 2 * reach;
    const at = (y, x) =>
      (y >= 0 && y < height && x >= 0 && x < width ? values[y * width + x] : 0);
    const redrawn = Uint8Array.from({ length: tall * broad }, (_, i) => {
      const x = i % broad - reach, y = floor(i / broad) - reach;
      let best = at(y, x);
      for (let v = -reach; v <= reach; v++) {
        for (let u = -reach; u <= reach; u++) {
          const inside = v ** 2 + u ** 2 <= radius ** 2 + 0.5;
          if (inside) best = better(best, at(y + v, x + u));
        }
      }
      return best;
    });
    return { values: redrawn, height: tall, width: broad };
  }

  return { sums, inverse, closing, spread, pieces, extent, thicken };
});
