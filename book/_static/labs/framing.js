/* From a drawing or a photo of one digit to MNIST's own frame, inside the page.

   It mirrors mnist_lesson/handwriting.py step by step (each part names its function
   there) and gives the same frame. Two habits make that so: values that NumPy keeps as
   float32 are rounded to it (fround), and Pillow's blur and resizing are done as Pillow
   does them. Pictures are typed arrays, row after row.

   const { frame, grey } = await lab.load("framing"); */
"use strict";
{
  const { abs, ceil, floor, fround, imul, max, min } = Math;

  const BOX = 20, FRAME = 28, CENTRE = 14, FINE = 4, THIN = 1.9, THICK = 4.2;
  const WORK_SIDE = 800, SMALLEST_SIDE = 12, MOST_PIXELS = 89_000_000;
  const FAINTEST = fround(0.06), NOISE = 4.5, PEN = 0.12, BRUSH = 0.3, COARSE = 100, DARK = 0.25;
  const ACROSS = 0.16, DOWN = 0.4, SMALLEST = 0.03;

  /* The picture does not show one handwritten digit that can be framed. */
  class HandwritingError extends Error {}
  const NO_DIGIT = "shows no digit: write one with a darker pen and let it fill more of the picture.";
  const MORE_DIGITS = "shows more than one digit: leave one, or cut the picture.";
  const TOO_LARGE = "has more than 89 million pixels: shrink it, 1,000 pixels a side are plenty.";

  /* framing_steps, from grey levels on (0 black … 255 white, at most 800 pixels a side):
     the frame as `image`, and what was seen at each step. */
  function frame(grey, width, height) {
    refuseSmall(width, height);
    const found = find(grey, height, width);
    return { ...found, image: frameOf(found.ink, found.digit, height, width) };
  }

  function refuseSmall(width, height) {
    if (max(width, height) < SMALLEST_SIDE) {
      throw new HandwritingError(
        `is only ${width}x${height} pixels: take a picture of at least ${FRAME}x${FRAME}.`);
    }
    if (!width || !height) throw new HandwritingError(NO_DIGIT);
  }

  /* _find: the digit as a pen's line; where there is none, as a brush's. */
  function find(grey, height, width) {
    const smooth = darkOnLight(grey, height, width);
    const wide = inkOf(smooth, height, width, BRUSH);
    if (max(height, width) < COARSE) return findIn(wide, height, width);
    try {
      const found = findIn(inkOf(smooth, height, width, PEN), height, width);
      // Too narrow a window sees no more than the corners of broad strokes.
      const dark = above(wide, fround(fround(0.7) * median(where(found.digit, found.ink))));
      const { labels, areas } = pieces(dark, height, width);
      const seen = where(found.digit, labels).filter((label) => label);
      const whole = [...new Set(seen)].reduce((area, label) => area + areas[label], 0);
      if (whole < 1.5 * seen.length) return found;
    } catch (error) {
      if (!(error instanceof HandwritingError)) throw error;
    }
    const found = findIn(wide, height, width);
    if (median(where(found.digit, wide)) < DARK) throw new HandwritingError(NO_DIGIT);
    return found;
  }

  /* _find_in */
  function findIn(ink, height, width) {
    const marks = above(ink, max(FAINTEST, noise(ink)));
    const strokes = strokesOf(ink, marks, height, width);
    return { ink, marks, strokes, digit: digitOf(ink, strokes, height, width) };
  }

  // ---- numbers, as NumPy has them

  /* Round half to even: adding 1.5 · 2^52 leaves no room for a fraction. */
  const roundEven = (x) => x + 6755399441055744 - 6755399441055744;

  /* The values where `marks` are set. Plain loops here and below: a callback for each
     pixel takes many times as long. */
  function where(marks, values) {
    const found = values.slice();
    let count = 0;
    for (let i = 0; i < values.length; i++) if (marks[i]) found[count++] = values[i];
    return found.subarray(0, count);
  }

  function above(values, level) {
    const marks = new Uint8Array(values.length);
    for (let i = 0; i < values.length; i++) marks[i] = values[i] > level;
    return marks;
  }

  function inverse(grey) {
    const turned = new Uint8Array(grey.length);
    for (let i = 0; i < grey.length; i++) turned[i] = 255 - grey[i];
    return turned;
  }

  /* The two sorted values around a part of them, and how far it is from one to the
     other. Hoare's quickselect: sorting everything would take most of the time. */
  function around(values, part) {
    const sorted = new Float32Array(values);
    const place = part * (sorted.length - 1), k = floor(place);
    for (let low = 0, high = sorted.length - 1; low < high;) {
      const pivot = sorted[(low + high) >> 1];
      let i = low, j = high;
      while (i <= j) {
        while (sorted[i] < pivot) i++;
        while (sorted[j] > pivot) j--;
        if (i <= j) {
          const kept = sorted[i];
          sorted[i++] = sorted[j];
          sorted[j--] = kept;
        }
      }
      if (k <= j) high = j;
      else if (k >= i) low = i;
      else break;
    }
    let next = Infinity;
    for (let i = k + 1; i < sorted.length; i++) next = min(next, sorted[i]);
    return [sorted[k], place > k ? next : sorted[k], place - k];
  }

  function median(values) {
    const [a, b] = around(values, 0.5);
    return fround(fround(a + b) / 2);
  }

  function percentile(values, part) {
    const [a, b, t] = around(values, part);
    const gap = fround(b - a);
    return t < 0.5 ? fround(a + fround(gap * t)) : fround(b - fround(gap * (1 - t)));
  }

  /* A sum of eight values or more, in NumPy's order and precision: where a straight or
     round stroke is centred is a tie, and the last bit decides it. */
  function sum(values) {
    const round = values instanceof Float32Array ? fround : (x) => x;
    const count = values.length, half = (count >> 1) & ~7;
    if (count > 128) return round(sum(values.subarray(0, half)) + sum(values.subarray(half)));
    const lanes = values.slice(0, 8), whole = count & ~7;
    for (let i = 8; i < whole; i++) lanes[i % 8] += values[i];
    for (let step = 1; step < 8; step *= 2) {
      for (let i = 0; i < 8; i += 2 * step) lanes[i] += lanes[i + step];
    }
    for (let i = whole; i < count; i++) lanes[0] += values[i];
    return lanes[0];
  }

  // ---- from grey to ink

  /* Change each row by `work`, unless it is of one level and stays so; the result is
     `length` long and lies on its side, so that doing it twice serves rows and columns. */
  function eachRow(values, height, width, length, work) {
    const turned = new Uint8Array(height * length), done = new Uint8Array(length);
    for (let y = 0; y < height; y++) {
      const row = values.subarray(y * width, (y + 1) * width);
      let x = 1;
      while (x < width && row[x] === row[0]) x++;
      if (x < width) work(row, done);
      else done.fill(row[0]);
      for (x = 0; x < length; x++) turned[x * height + y] = done[x];
    }
    return turned;
  }

  /* _spread: the largest value within `down` rows and `across` columns. */
  function spread(values, height, width, down, across) {
    return spreadRows(spreadRows(values, height, width, across), width, height, down);
  }

  /* The same along each row, which goes on for `margin` pixels at either end.
     van Herk 1992: a window is the end of one block and the start of the next, so two
     running maxima, one from each side of a block, give it whatever its size. */
  function spreadRows(values, height, width, radius, margin = radius) {
    const block = 2 * radius + 1, length = width + 2 * margin;
    const long = new Uint8Array(length), left = new Uint8Array(length), right = new Uint8Array(length);
    return eachRow(values, height, width, length - 2 * radius, (row, done) => {
      long.fill(row[0], 0, margin).fill(row[width - 1], margin + width).set(row, margin);
      for (let start = 0; start < length; start += block) {
        const stop = min(start + block, length);
        for (let x = start, top = 0; x < stop; x++) right[x] = top = max(top, long[x]);
        for (let x = stop - 1, top = 0; x >= start; x--) left[x] = top = max(top, long[x]);
      }
      for (let x = 0; x < done.length; x++) done[x] = max(left[x], right[x + 2 * radius]);
    });
  }

  /* _blur: Pillow's GaussianBlur is three box blurs along the rows and three along the
     columns, each rounded to whole grey levels. */
  function blur(grey, height, width, radius) {
    // Gwosdek et al. 2011: the box's fractional radius with the Gaussian's variance.
    const variance = fround(fround(fround(radius) ** 2) / 3);
    const whole = floor((fround(Math.sqrt(12 * variance + 1)) - 1) / 2);
    const over = (2 * whole + 1) * fround(whole * (whole + 1) - fround(3 * variance));
    const under = fround(6 * fround(variance - (whole + 1) ** 2));
    const reach = fround(whole + fround(fround(over) / under));
    const inner = floor(fround(2 ** 24 / fround(2 * reach + 1))); // in units of 2^-24
    const outer = floor((2 ** 24 - (2 * whole + 1) * inner) / 2);
    const once = blurRows(grey, height, width, whole, inner, outer);
    return blurRows(once, width, height, whole, inner, outer);
  }

  /* Three box blurs along each row. */
  function blurRows(grey, height, width, radius, inner, outer) {
    const edge = radius + 1, long = new Uint8Array(width + 2 * edge);
    return eachRow(grey, height, width, width, (row, done) => {
      done.set(row);
      for (let pass = 0; pass < 3; pass++) blurRow(done, long, edge, inner, outer);
    });
  }

  /* One box blur: `inner` is the weight of what is less than `edge` pixels away, `outer`
     that of the two at that distance. */
  function blurRow(row, long, edge, inner, outer) {
    const width = row.length, far = 2 * edge;
    long.fill(row[0], 0, edge).fill(row[width - 1], edge + width).set(row, edge);
    let total = 0, first = long[0];
    for (let x = 1; x < far; x++) total += long[x];
    for (let x = 0; x < width; x++) {
      const last = long[x + far];
      row[x] = (imul(total, inner) + imul(first + last, outer) + 2 ** 23) >>> 24;
      first = long[x + 1];
      total += last - first;
    }
  }

  /* The first half of _ink: less of the camera's noise, and white on black turned round. */
  function darkOnLight(grey, height, width) {
    const side = max(height, width);
    const smooth = blur(grey, height, width, min(1, side / 250));
    return skewness(smooth, height, width) > 0 ? inverse(smooth) : smooth;
  }

  /* _skewness: how far bright detail stands out (above 0), or dark detail (below). */
  function skewness(grey, height, width) {
    let votes = 0, left = 4;
    for (const part of [8, 16, 32, 64]) {
      if (abs(votes) > left--) break; // the others cannot outvote them
      const blurred = blur(grey, height, width, max(height, width) / part);
      let sum = 0, size = 1;
      for (let i = 0; i < grey.length; i++) {
        const detail = grey[i] - blurred[i], cube = detail * detail * detail;
        sum += cube;
        size += abs(cube);
      }
      votes += (sum / size) * abs(sum / size);
    }
    return votes;
  }

  /* The second half of _ink: how much darker than the paper, which is what a closing
     leaves. What reaches the border is taken to go on beyond it. */
  function inkOf(smooth, height, width, widest) {
    const radius = max(1, roundEven(widest * max(height, width) / 2));
    const tall = height + 2 * radius, broad = width + 2 * radius;
    let paper = spreadRows(smooth, height, width, radius, 2 * radius);
    paper = inverse(spreadRows(paper, broad, height, radius, 2 * radius));
    paper = spreadRows(paper, tall, broad, radius, 0);
    paper = inverse(spreadRows(paper, width, tall, radius, 0));
    // Light multiplies, so contrast is relative; but a dark desk has no paper to divide.
    const least = median(paper) / 2 + 1;
    const ink = new Float32Array(paper.length);
    for (let i = 0; i < ink.length; i++) ink[i] = (paper[i] - smooth[i]) / max(paper[i], least);
    return ink;
  }

  // ---- from ink to strokes

  /* _noise: the level that the paper's grain does not exceed. */
  function noise(ink) {
    const middle = median(ink);
    const away = new Float32Array(ink.length);
    for (let i = 0; i < ink.length; i++) away[i] = abs(ink[i] - middle);
    const grain = median(away);
    return fround(middle + fround(fround(NOISE * 1.4826) * grain));
  }

  /* _otsu: the threshold that splits `values` best into two classes. */
  function otsu(values) {
    const bins = 64;
    let low = values.reduce((a, b) => min(a, b)), high = values.reduce((a, b) => max(a, b));
    if (low === high) [low, high] = [fround(low - 0.5), fround(low + 0.5)];
    const step = fround(fround(high - low) / bins);
    const edges = Float32Array.from({ length: bins + 1 }, (_, i) => fround(fround(i * step) + low));
    edges[bins] = high;
    const counts = new Float64Array(bins);
    for (const value of values) {
      let bin = min(bins - 1, floor(fround(value - low) / fround(high - low) * bins));
      if (value < edges[bin]) bin--;
      else if (bin < bins - 1 && value >= edges[bin + 1]) bin++;
      counts[bin]++;
    }
    const sums = counts.map((count, i) => count * fround(fround(edges[i] + edges[i + 1]) / 2));
    const total = sums.reduce((a, b) => a + b);
    let best = 0, most = -1;
    for (let i = 0, below = 0, belowSum = 0; i < bins - 1; i++) {
      below += counts[i];
      belowSum += sums[i];
      const rest = values.length - below;
      const gap = belowSum / max(below, 1) - (total - belowSum) / max(rest, 1);
      const between = below * rest * gap ** 2;
      if (between > most) [best, most] = [i, between];
    }
    return edges[best + 1];
  }

  /* _strokes: the marks that a pen may have made on this picture. */
  function strokesOf(ink, marks, height, width) {
    const strokes = withoutLines(ink, marks, height, width);
    const { labels, count, heights, widths } = pieces(strokes, height, width);
    // Desk, fingers and the page's edge enter along the border; a digit that was
    // cropped tightly only touches it.
    const contact = new Float64Array(count + 1);
    for (let x = 0; x < width; x++) {
      contact[labels[x]]++;
      contact[labels[(height - 1) * width + x]]++;
    }
    for (let y = 1; y < height - 1; y++) {
      contact[labels[y * width]]++;
      contact[labels[(y + 1) * width - 1]]++;
    }
    const rim = 2 * width + 2 * max(0, height - 2);
    const sizes = heights.map((tall, i) => max(tall, widths[i]));
    let innermost = 0, largest = 0;
    for (let i = 1; i <= count; i++) {
      contact[i] /= rim;
      if (!contact[i] && sizes[i] > SMALLEST * max(height, width)) innermost = max(innermost, sizes[i]);
      if (contact[i] <= 0.2) largest = max(largest, sizes[i]);
    }
    const most = innermost > 0.25 * largest ? 0 : 0.2;
    for (let i = 0; i < strokes.length; i++) strokes[i] &= contact[labels[i]] <= most;
    const kept = where(strokes, ink);
    if (kept.length) {
      const level = fround(fround(0.65) * otsu(kept));
      for (let i = 0; i < strokes.length; i++) strokes[i] &= ink[i] > level;
    }
    return strokes;
  }

  /* _without_lines: ruled lines taken away, level ones and then upright ones. */
  function withoutLines(ink, marks, height, width) {
    const rest = withoutLevelLines(ink, marks, height, width, width, 1);
    return withoutLevelLines(ink, rest, width, height, 1, width);
  }

  /* _without_level_lines, where a step down is `down` pixels on and one to the right,
     `right`: upright lines are level ones with the two exchanged. */
  function withoutLevelLines(ink, marks, height, width, down, right) {
    const slack = floor(max(height, width) / 250); // pages curl and lenses bend
    const atEnd = (x) => x < 0.05 * width || x > 0.95 * width;
    let reaching = 0;
    for (let x = 0; x < width; x++) {
      for (let y = 0; atEnd(x) && y < height; y++) reaching += marks[y * down + x * right];
    }
    // A line reaches both ends; most drawings do not, and are done here.
    if (reaching * (2 * slack + 1) <= 0.04 * width) return marks.slice();
    const rows = [], columns = [], ends = [];
    for (let x = 0; x < width; x++) {
      for (let y = 0, next = 0; y < height; y++) {
        if (!marks[y * down + x * right]) continue;
        for (let v = max(next, y - slack); v <= min(height - 1, y + slack); v++) {
          if (atEnd(x)) ends.push(rows.length);
          rows.push(v);
          columns.push(x);
          next = v + 1;
        }
      }
    }
    const onLine = new Uint8Array(marks.length);
    const inner = new Uint32Array(height + 2 * width), outer = new Uint32Array(height + 2 * width);
    for (let k = 0; k < 49; k++) { // the camera was not held quite straight
      const slope = k < 48 ? -0.12 + k * (0.24 / 48) : 0.12;
      const place = (i) => roundEven(rows[i] - slope * (columns[i] - width / 2)) + width;
      outer.fill(0);
      for (const i of ends) outer[place(i)]++;
      if (!outer.some((count) => count > 0.04 * width)) continue;
      inner.fill(0);
      for (let i = 0; i < rows.length; i++) inner[place(i)]++;
      if (!inner.some((count) => count > 0.6 * width)) continue;
      for (let i = 0; i < rows.length; i++) {
        const line = place(i), at = rows[i] * down + columns[i] * right;
        if (inner[line] > 0.6 * width && outer[line] > 0.04 * width) onLine[at] = marks[at];
      }
    }
    if (!onLine.includes(1)) return marks.slice();
    // _runs_down: for each mark the length of the upright run it is part of.
    const runs = new Float32Array(marks.length);
    for (let x = 0; x < width; x++) {
      for (let y = 0, end; y < height; y = end + 1) {
        for (end = y; end < height && marks[end * down + x * right]; end++);
        for (let v = y; v < end; v++) runs[v * down + x * right] = end - y;
      }
    }
    const thickness = median(where(onLine, runs));
    if (thickness > max(height, width) / 50) return marks.slice();
    // Where a stroke crosses the line, the ink goes on above or below: keep it,
    // and ink more than twice as dark, which not even two crossing lines can be.
    const faint = 2 * median(where(onLine, ink));
    return marks.map((marked, i) =>
      marked && !(onLine[i] && ink[i] < faint && runs[i] <= 1.6 * thickness + 1));
  }

  /* _pieces and _sizes: connected pieces, diagonals included, labelled from 1 to count
     in the order of their first pixels, 0 elsewhere; a flood from each of those. */
  function pieces(marks, height, width) {
    const labels = new Int32Array(marks.length), stack = [];
    const areas = [0], heights = [0], widths = [0];
    for (let first = 0; first < marks.length; first++) {
      if (!marks[first] || labels[first]) continue;
      const label = areas.length;
      let area = 0, top = height, bottom = -1, left = width, right = -1;
      labels[first] = label;
      stack.push(first);
      while (stack.length) {
        const i = stack.pop(), x = i % width, y = (i - x) / width;
        area++;
        top = min(top, y);
        bottom = max(bottom, y);
        left = min(left, x);
        right = max(right, x);
        for (let v = max(0, y - 1); v <= min(height - 1, y + 1); v++) {
          for (let u = max(0, x - 1); u <= min(width - 1, x + 1); u++) {
            const near = v * width + u;
            if (marks[near] && !labels[near]) {
              labels[near] = label;
              stack.push(near);
            }
          }
        }
      }
      areas.push(area);
      heights.push(bottom - top + 1);
      widths.push(right - left + 1);
    }
    return { labels, count: areas.length - 1, areas, heights, widths };
  }

  // ---- from strokes to the digit

  /* _extent, ends exclusive */
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

  /* _digit: the strokes that make up the digit. */
  function digitOf(ink, strokes, height, width) {
    const { labels, count, heights, widths } = pieces(strokes, height, width);
    if (!count) throw new HandwritingError(NO_DIGIT);
    const mass = new Float64Array(count + 1);
    for (let i = 0; i < ink.length; i++) if (labels[i]) mass[labels[i]] += ink[i];
    // Flat marks are what is left of a line or a shadow, for every digit has height.
    const weight = mass.map((m, i) => m * min(1, heights[i] / max(widths[i], 1)));
    const best = weight.indexOf(weight.reduce((a, b) => max(a, b)));
    const heavy = mass.map((m) => m > 0.03 * mass[best]);
    // Strokes of one digit lie close together, measured by the digit itself.
    // Digits follow each other across, so a gap across parts them sooner.
    const chosen = new Uint8Array(count + 1), digit = new Uint8Array(labels.length);
    chosen[best] = 1;
    let size;
    for (let grows = true; grows;) {
      for (let i = 0; i < digit.length; i++) digit[i] = chosen[labels[i]];
      size = extent(digit, height, width).size;
      if (chosen.every((inside, i) => inside || !heavy[i])) break; // nothing else is left
      const near = spread(digit, height, width, roundEven(DOWN * size), roundEven(ACROSS * size));
      grows = false;
      for (let i = 0; i < near.length; i++) {
        if (near[i] && heavy[labels[i]] && !chosen[labels[i]]) grows = chosen[labels[i]] = 1;
      }
    }
    if (size < max(SMALLEST * max(height, width), 4)) throw new HandwritingError(NO_DIGIT);
    for (let i = 1; i <= count; i++) {
      const other = !chosen[i] && mass[i] > 0.2 * mass[best];
      if (other && heights[i] > 0.4 * heights[best]) throw new HandwritingError(MORE_DIGITS);
    }
    return digit;
  }

  // ---- from the digit to the frame

  /* _frame: the digit fitted into 20x20, its mass in the centre of 28x28. */
  function frameOf(ink, digit, height, width) {
    const level = percentile(where(digit, ink), 0.75);
    const near = spread(digit, height, width, 1, 1);
    const clean = new Float32Array(ink.length);
    for (let i = 0; i < ink.length; i++) clean[i] = near[i] && min(ink[i] / level, 1);
    let fine = fit({ values: clean, height, width }, digit);
    // A thin pen would leave grey threads, a thick brush blobs: MNIST has neither.
    for (let turn = 0; turn < 2; turn++) {
      const stroke = strokeWidth(fine);
      const change = (max(THIN * FINE, min(stroke, THICK * FINE)) - stroke) / 2;
      if (abs(change) < 0.5) break;
      fine = thicken(fine, change);
      fine = fit(fine, above(fine.values, max(...fine.values) / 2));
    }
    const small = reduce(fine);
    const places = [(i) => floor(i / small.width), (i) => i % small.width];
    const [top, left] = [small.height, small.width].map((size, axis) => {
      const moments = Float64Array.from(small.values, (value, i) => value * places[axis](i));
      const corner = roundEven(CENTRE - sum(moments) / sum(small.values));
      return max(0, min(corner, FRAME - size));
    });
    const brightest = max(...small.values);
    const image = new Uint8Array(FRAME * FRAME);
    small.values.forEach((value, i) => {
      image[(top + places[0](i)) * FRAME + left + places[1](i)] = roundEven(255 * value / brightest);
    });
    return image;
  }

  /* The mean width of the strokes: twice their area by the length of their outline. */
  function strokeWidth({ values, height, width }) {
    const half = max(...values) / 2; // the thinnest pen's threads are pale after shrinking
    const drawn = (y, x) => y >= 0 && x >= 0 && y < height && x < width && values[y * width + x] > half;
    let area = 0, edge = 0;
    for (let y = 0; y <= height; y++) {
      for (let x = 0; x <= width; x++) {
        area += drawn(y, x);
        edge += (drawn(y, x) !== drawn(y - 1, x)) + (drawn(y, x) !== drawn(y, x - 1));
      }
    }
    return 2 * area / (Math.PI / 4 * edge);
  }

  /* _fit: scale so that the marked part's longer side is 80, by Pillow's BICUBIC. */
  function fit({ values, height, width }, marks) {
    const { top, bottom, left, right, size } = extent(marks, height, width);
    if (size < 1) throw new HandwritingError(NO_DIGIT); // too thin to be seen this small
    const scale = BOX * FINE / size;
    const broad = max(1, roundEven((right - left) * scale));
    const tall = max(1, roundEven((bottom - top) * scale));
    const half = resampleRows(values, height, width, windows(width, left, right, broad, bicubic, 2));
    const whole = resampleRows(half, broad, height, windows(height, top, bottom, tall, bicubic, 2));
    return { values: whole.map((value) => max(0, min(value, 1))), height: tall, width: broad };
  }

  /* Pillow's filters, functions of the distance in new pixels. */
  const box = (x) => x > -0.5 && x <= 0.5 ? 1 : 0;
  function bicubic(distance) {
    const x = abs(distance);
    return x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
  }

  /* For each of `count` new pixels between `from` and `to` the first of the old pixels
     that it is a weighted mean of, and their weights (Pillow's precompute_coeffs). */
  function windows(size, from, to, count, kernel, support) {
    const scale = (to - from) / count, stretch = max(scale, 1);
    return Array.from({ length: count }, (_, i) => {
      const centre = from + (i + 0.5) * scale;
      const first = max(0, floor(centre - support * stretch + 0.5));
      const last = min(size, floor(centre + support * stretch + 0.5));
      const weights = Float64Array.from({ length: last - first },
        (_, k) => kernel((k + first - centre + 0.5) * (1 / stretch)));
      const whole = weights.reduce((a, b) => a + b);
      return { first, weights: weights.map((weight) => weight / whole) };
    });
  }

  /* Weighted means along each row; the result lies on its side. */
  function resampleRows(values, height, width, windows) {
    const bytes = values instanceof Uint8Array;
    const turned = new values.constructor(windows.length * height);
    windows.forEach(({ first, weights }, x) => {
      for (let y = 0; y < height; y++) {
        let sum = bytes ? 0.5 : 0; // what is stored as a byte is cut off
        for (let k = 0, i = y * width + first; k < weights.length; k++) sum += values[i++] * weights[k];
        turned[x * height + y] = sum;
      }
    });
    return turned;
  }

  /* _thicken: redraw with a nib wider by `radius` on each side (thinner if negative). */
  function thicken({ values, height, width }, radius) {
    const reach = ceil(abs(radius)), sign = Math.sign(radius);
    const tall = height + 2 * reach, broad = width + 2 * reach;
    const wider = new Float32Array(tall * broad).fill(sign > 0 ? 0 : 1);
    for (let v = -reach; v <= reach; v++) {
      for (let u = -reach; u <= reach; u++) {
        if (v ** 2 + u ** 2 > radius ** 2 + 0.5) continue;
        for (let y = 0, i = 0; y < tall; y++) {
          const row = y + v - reach;
          for (let x = 0; x < broad; x++, i++) {
            const column = x + u - reach;
            const inside = row >= 0 && row < height && column >= 0 && column < width;
            const value = inside ? values[row * width + column] : 0;
            if (sign > 0 ? value > wider[i] : value < wider[i]) wider[i] = value;
          }
        }
      }
    }
    return { values: wider, height: tall, width: broad };
  }

  /* Pillow's reduce(FINE): means of 4x4 pixels, of what there is at the end. */
  function reduce({ values, height, width }) {
    const tall = ceil(height / FINE), broad = ceil(width / FINE);
    const small = new Float32Array(tall * broad);
    small.forEach((_, i) => {
      const top = FINE * floor(i / broad), left = FINE * (i % broad);
      const bottom = min(top + FINE, height), right = min(left + FINE, width);
      let sum = 0;
      for (let y = top; y < bottom; y++) {
        for (let x = left; x < right; x++) sum += values[y * width + x];
      }
      small[i] = sum / ((bottom - top) * (right - left));
    });
    return { values: small, height: tall, width: broad };
  }

  // ---- from a picture's colours to grey

  /* _shrunk_grey: grey levels, at most 800 pixels a side, from a canvas's ImageData. */
  function grey({ data, width, height }) {
    if (width * height > MOST_PIXELS) throw new HandwritingError(TOO_LARGE);
    refuseSmall(width, height);
    const paper = paperUnder(data);
    const levels = new Uint8Array(width * height);
    for (let i = 0; i < levels.length; i++) {
      const cover = data[4 * i + 3] / 255;
      let sum = 0;
      for (let c = 0; c < 3; c++) sum += Math.round(data[4 * i + c] * cover + paper[c] * (1 - cover));
      // A plain mean, for the eye's weights would make yellow and blue pens vanish.
      levels[i] = Math.round(sum / 3);
    }
    if (max(width, height) <= WORK_SIDE) return { grey: levels, width, height };
    const broad = width < height ? roundEven(width / height * WORK_SIDE) : WORK_SIDE;
    const tall = height < width ? roundEven(height / width * WORK_SIDE) : WORK_SIDE;
    // Averaging areas makes a thin line fainter, but it never vanishes.
    const half = resampleRows(levels, height, width, windows(width, 0, width, broad, box, 0.5));
    const whole = resampleRows(half, broad, height, windows(height, 0, height, tall, box, 0.5));
    return { grey: whole, width: broad, height: tall };
  }

  /* _on_paper: a paper that the strokes of a transparent drawing stand out from. */
  function paperUnder(data) {
    let clear = false;
    for (let i = 3; i < data.length && !clear; i += 4) clear = data[i] < 255;
    if (!clear) return [255, 255, 255]; // a photo: nothing shows through
    const opaque = [];
    for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 127) opaque.push(i);
    const channel = (c) => Float32Array.from(opaque, (i) => data[i + c]);
    // A picture with cut corners goes on with its own paper.
    if (opaque.length > data.length / 8) return [0, 1, 2].map((c) => floor(median(channel(c))));
    let sum = 0;
    for (const i of opaque) sum += data[i] + data[i + 1] + data[i + 2];
    return Array(3).fill(sum < 128 * 3 * opaque.length || !opaque.length ? 255 : 0);
  }

  lab.define("framing", { frame, grey });
}
