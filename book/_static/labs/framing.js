/* From a drawing or a photo of one digit to MNIST's own frame, inside the page.

   It mirrors mnist_lesson/handwriting.py step by step (each part names its function
   there) and gives the same frame, for both count in whole numbers. Pictures are typed
   arrays, row after row. */
"use strict";

lab.define("framing", ["image", "picture", "maths"],
function framing(image, picture, { largest, sum: total }) {
  const { sums, inverse, closing, spread, pieces, extent, thicken } = image;
  const { abs, ceil, floor, max, min } = Math;

  const BOX = 20, FRAME = 28, CENTRE = 14, FINE = 4, THIN = 1.9, THICK = 4.2;
  const WINDOW = 30, SMALLEST = 3, FAINTEST = 15, ACROSS = 16, DOWN = 40;

  const NO_DIGIT = "shows no digit: write one with a darker pen and let it fill more "
    + "of the picture.";
  const MORE_DIGITS = "shows more than one digit: leave one, or cut the picture.";

  /* framing_steps, from grey levels on (0 black … 255 white, at most 400 pixels a
     side): the frame as `image`, and what was seen at each step. */
  function frame(grey, width, height) {
    picture.refuseSmall(width, height);
    const ink = inkOf(grey, height, width);
    const marks = above(ink, max(FAINTEST, grain(ink)));
    const rest = withoutLines(ink, marks, height, width);
    const strokes = strokesOf(ink, rest, height, width);
    const digit = digitOf(ink, strokes, height, width);
    return { ink, marks, strokes, digit, image: frameOf(ink, digit, height, width) };
  }

  /* The same from ink that was drawn on a pad (0 paper … 255): there is no paper to be
     searched for, and every mark is a stroke. */
  function frameStrokes(ink, width, height) {
    const strokes = above(ink, 82);
    const digit = digitOf(ink, strokes, height, width);
    return { strokes, digit, image: frameOf(ink, digit, height, width) };
  }

  // ---- numbers. Plain loops: a callback for each pixel takes many times as long.

  const above = (values, level) => values.map((value) => value > level);

  /* How often each number occurs, from 0 to 1023; if given, only where `marks` are. */
  function counted(values, marks) {
    const counts = new Float64Array(1024);
    for (let i = 0; i < values.length; i++) {
      if (!marks || marks[i]) counts[values[i]]++;
    }
    return counts;
  }

  /* _median, or another percentile, of numbers that were counted. */
  function median(counts, percent = 50) {
    let rest = floor((total(counts) - 1) * percent / 100), value = 0;
    while ((rest -= counts[value]) >= 0) value++;
    return value;
  }

  /* _otsu, of grey levels that were counted. */
  function otsu(counts) {
    const moment = (power) =>
      total(counts.map((count, value) => count * value ** power));
    const all = total(counts), sum = moment(1);
    let level = 0, most = 0, gap = 0;
    for (let value = 0, low = 0, lowSum = 0; value < 255; value++) {
      low += counts[value];
      lowSum += counts[value] * value;
      const high = all - low;
      const distance = (sum - lowSum) / max(high, 1) - lowSum / max(low, 1);
      const between = low * high * distance * distance;
      if (between > most) [level, most, gap] = [value, between, distance];
    }
    return { level, gap, explained: most / max(all * moment(2) - sum * sum, 1) };
  }

  // ---- from grey to ink

  /* _ink: how much darker than the paper, which is what a closing leaves. */
  function inkOf(grey, height, width) {
    if (lightOnDark(grey, height, width)) grey = inverse(grey);
    const radius = max(1, floor((WINDOW * max(height, width) + 100) / 200));
    const beyond = cutTightly(grey, height, width) ? largest(grey) : undefined;
    const paper = closing(grey, height, width, radius, beyond);
    // Light multiplies: contrast is relative. But a dark desk has no paper to divide.
    const least = floor(median(counted(paper)) / 2) + 1;
    return paper.map((level, i) => 255 * (level - grey[i]) / max(level, least));
  }

  /* _light_on_dark: whether bright detail stands out, or dark detail. */
  function lightOnDark(grey, height, width) {
    const voters = [[16, "edge", 2], [2, "edge", 2], [2, "symmetric", 1]];
    let votes = 0;
    for (const [part, mode, weight] of voters) {
      if (abs(votes) > 1 && weight === 1) break; // it cannot outvote the others
      const radius = floor(max(height, width) / (2 * part));
      const area = (2 * radius + 1) ** 2;
      const windows = sums(grey, height, width, radius, mode);
      let sum = 0, size = 1;
      for (let i = 0; i < grey.length; i++) {
        const cube = (grey[i] - ((2 * windows[i] + area) / (2 * area) | 0)) ** 3;
        sum += cube;
        size += abs(cube);
      }
      votes += weight * (sum / size) * abs(sum / size);
    }
    return votes > 0;
  }

  /* _cut_tightly: whether strokes, broader than a ruled line, reach the border. */
  function cutTightly(grey, height, width) {
    const side = max(height, width), rim = [...grey.subarray(0, width)];
    for (let y = 1; y < height; y++) rim.push(grey[(y + 1) * width - 1]);
    if (height > 1) rim.push(...grey.slice(-width, -1).reverse());
    if (width > 1) for (let y = height - 2; y > 0; y--) rim.push(grey[y * width]);
    const reach = 2 * floor(side / 50), step = 3 + floor(side / 100), { length } = rim;
    const around = [...rim.slice(length - reach), ...rim, ...rim.slice(0, reach)];
    const smooth = closing(Uint8Array.from(around), 1, around.length, reach / 2)
      .subarray(reach, reach + length);
    const steepest = largest(smooth.map((edge, x) => abs(edge - smooth.at(x - step))));
    const { gap } = otsu(counted(grey));
    return gap > 0 && 2 * steepest > gap;
  }

  /* _grain: the level that the paper's grain does not exceed. */
  function grain(ink) {
    const counts = counted(ink), middle = median(counts);
    const away = new Float64Array(1024);
    counts.forEach((count, value) => { away[abs(value - middle)] += count; });
    const level = middle + floor(20 * median(away) / 3), dark = otsu(counts);
    // Grain has no two classes.
    const twoClasses = dark.explained > 0.9 || dark.gap * dark.explained > 45;
    return level > dark.level && twoClasses ? floor(dark.level / 2) : level;
  }

  // ---- from ink to strokes

  /* _without_lines: ruled lines taken away. A step down is `width` pixels on and one to
     the right 1; upright lines are level ones with the two exchanged. */
  function withoutLines(ink, marks, height, width) {
    const level = lines(marks, height, width, width, 1);
    const upright = lines(marks, width, height, 1, width);
    const rest = marks.map((marked, i) => marked & ~level.found[i] & ~upright.found[i]);
    const once = ruled(ink, marks, level, rest, height, width, width, 1);
    return ruled(ink, once, upright, rest, width, height, 1, width);
  }

  /* _lines: what lies on straight lines from side to side, and how many there are. */
  function lines(marks, height, width, down, right) {
    const slack = floor(max(height, width) / 250), rows = [], columns = [], ends = [];
    for (let x = 0; x < width; x++) {
      const atEnd = 20 * x < width || 20 * x >= 19 * width;
      for (let y = 0, next = 0; y < height; y++) {
        if (!marks[y * down + x * right]) continue;
        const last = min(height - 1, y + slack);
        for (let near = max(next, y - slack); near <= last; near++) {
          if (atEnd) ends.push(rows.length);
          rows.push(near);
          columns.push(x);
          next = near + 1;
        }
      }
    }
    const found = new Uint8Array(marks.length);
    let most = 0;
    const [inner, outer] = [0, 1].map(() => new Uint32Array(height + 2 * width));
    for (let slope = -24; slope <= 24; slope++) {
      const line = (i) =>
        rows[i] - floor(slope * (2 * columns[i] - width) / 400) + width;
      inner.fill(0);
      outer.fill(0);
      for (const i of ends) outer[line(i)]++;
      if (25 * largest(outer) <= width) continue; // most drawings reach no end
      for (let i = 0; i < rows.length; i++) inner[line(i)]++;
      const long = inner.map((count, at) =>
        10 * count > 6 * width && 25 * outer[at] > width);
      most = max(most, total(long.map((on, at) => on && !long[at - 1])));
      for (let i = 0; i < rows.length; i++) {
        if (long[line(i)]) found[rows[i] * down + columns[i] * right] = 1;
      }
    }
    for (let i = 0; i < found.length; i++) found[i] &= marks[i];
    return { found, most };
  }

  /* _ruled: the marks without what is the paper's on level lines. */
  function ruled(ink, marks, lines, rest, height, width, down, right) {
    const found = lines.found.map((on, i) => on & marks[i]); // some may be gone by now
    if (!found.includes(1)) return marks;
    const runs = new Uint16Array(marks.length); // how far a mark goes up and down
    for (let x = 0; x < width; x++) {
      for (let y = 0, end; y < height; y = end + 1) {
        for (end = y; end < height && marks[end * down + x * right]; end++);
        for (let v = y; v < end; v++) runs[v * down + x * right] = end - y;
      }
    }
    const thick = median(counted(runs, found)), dark = median(counted(ink, found));
    if (50 * thick > max(height, width)) return marks;
    if (lines.most < 3) {
      const end = floor((12 * width + 50) / 100);
      let longer = true, lineInk = 0, restInk = 0;
      for (let i = 0; i < marks.length; i++) {
        const x = right === 1 ? i % width : floor(i / right);
        if (rest[i] && (x < end || x >= width - end)) longer = false;
        lineInk += found[i] * ink[i];
        restInk += rest[i] * ink[i];
      }
      if (4 * restInk <= lineInk) return marks;
      if (!longer && 10 * dark >= 7 * median(counted(ink, rest))) return marks;
    }
    // Where a stroke crosses the line, the ink goes on above or below: keep it.
    return marks.map((marked, i) =>
      marked && !(found[i] && ink[i] < 2 * dark && 5 * runs[i] <= 8 * thick + 5));
  }

  /* _strokes: the marks that a pen may have made on this picture. */
  function strokesOf(ink, marks, height, width) {
    const { labels, found } = pieces(marks, ink, height, width);
    const contact = new Uint32Array(found.length), side = max(height, width);
    labels.forEach((label, i) => {
      const x = i % width, y = (i - x) / width;
      if (!x || !y || x === width - 1 || y === height - 1) contact[label]++;
    });
    const rim = height > 1 && width > 1 ? 2 * (height + width) - 4 : side;
    const mean = ({ mass, area }) => mass / area;
    const size = ({ tall, broad }) => max(tall, broad);
    const touching = found.filter((_, label) => label && contact[label]);
    const darkest = largest(touching.map(mean));
    const inner = found.filter((piece, label) =>
      label && !contact[label] && 10 * mean(piece) > 3 * darkest);
    const inside = largest(inner.map(size)), outside = largest(touching.map(size));
    let most = Infinity; // how much of the rim a piece may touch
    if (100 * inside > SMALLEST * side && 4 * inside > outside) most = 0;
    else if (100 * inside > 8 * side && inside >= 8) most = rim / 5;
    const strokes = marks.map((marked, i) => marked && contact[labels[i]] <= most);
    const { level } = otsu(counted(ink, strokes));
    return strokes.map((marked, i) => marked && 20 * ink[i] > 13 * level);
  }

  // ---- from strokes to the digit

  /* _digit: the strokes that make up the digit. */
  function digitOf(ink, strokes, height, width) {
    const { labels, found } = pieces(strokes, ink, height, width);
    if (found.length === 1) throw new Error(NO_DIGIT);
    // Flat marks are what is left of a line or a shadow, for every digit has height.
    const weights = found.map(({ mass, tall, broad }) =>
      mass * min(1, tall / max(broad, 1)));
    const best = found[weights.indexOf(largest(weights))];
    const heavy = found.map(({ mass }) => 100 * mass > 3 * best.mass);
    const chosen = found.map((piece) => piece === best);
    let digit, size;
    for (let grows = true; grows;) {
      digit = strokes.map((_, i) => chosen[labels[i]]);
      ({ size } = extent(digit, height, width));
      if (chosen.every((inside, label) => inside || !heavy[label])) break; // no others
      const [down, across] = [DOWN, ACROSS].map((part) =>
        floor((part * size + 50) / 100));
      grows = false;
      spread(digit, height, width, down, across).forEach((near, i) => {
        const label = labels[i];
        if (near && heavy[label] && !chosen[label]) grows = chosen[label] = true;
      });
    }
    const whole = total(found.map(({ mass }, label) => (chosen[label] ? mass : 0)));
    const small = size < 4 || 100 * size < SMALLEST * max(height, width);
    if (small || 5 * best.mass < whole) throw new Error(NO_DIGIT);
    const another = found.some(({ mass, tall }, label) => heavy[label] && !chosen[label]
      && 5 * mass > best.mass && 5 * tall > 2 * best.tall);
    if (another) throw new Error(MORE_DIGITS);
    return digit;
  }

  // ---- from the digit to the frame

  /* _frame: the digit fitted into 20x20, its mass in the centre of 28x28. */
  function frameOf(ink, digit, height, width) {
    const level = max(1, median(counted(ink, digit), 75));
    const near = spread(digit, height, width, 1, 1);
    const values = ink.map((value, i) => near[i] && min(255, 255 * value / level));
    let fine = fit({ values, height, width }, digit);
    // A thin pen would leave grey threads, a thick brush blobs: MNIST has neither.
    for (let turn = 0; turn < 2; turn++) {
      const stroke = strokeWidth(fine);
      const change = (min(max(stroke, THIN * FINE), THICK * FINE) - stroke) / 2;
      if (abs(change) < 0.5) break;
      fine = thicken(fine, change);
      fine = fit(fine, above(fine.values, largest(fine.values) / 2));
    }
    const tall = ceil(fine.height / FINE), broad = ceil(fine.width / FINE);
    const small = new Uint16Array(tall * broad);
    fine.values.forEach((value, i) => {
      const x = i % fine.width, y = (i - x) / fine.width;
      small[floor(y / FINE) * broad + floor(x / FINE)] += value;
    });
    const row = (i) => floor(i / broad), column = (i) => i % broad;
    const [top, left] = [[row, tall], [column, broad]].map(([place, size]) => {
      const moment = small.reduce((sum, value, i) => sum + place(i) * value, 0);
      return min(max(floor(CENTRE - moment / total(small) + 0.5), 0), FRAME - size);
    });
    const image = new Uint8Array(FRAME * FRAME), brightest = largest(small);
    small.forEach((value, i) => {
      const at = (top + row(i)) * FRAME + left + column(i);
      image[at] = (510 * value + brightest) / (2 * brightest);
    });
    return image;
  }

  /* The mean width of the strokes: twice their area by the length of their outline. */
  function strokeWidth({ values, height, width }) {
    const half = largest(values) / 2; // the thinnest pen's threads are pale by now
    // Above and below, what is undefined is not drawn.
    const drawn = (y, x) => x >= 0 && x < width && values[y * width + x] > half;
    let area = 0, edge = 0;
    for (let y = 0; y <= height; y++) {
      for (let x = 0; x <= width; x++) {
        area += drawn(y, x);
        edge += (drawn(y, x) !== drawn(y - 1, x)) + (drawn(y, x) !== drawn(y, x - 1));
      }
    }
    return 2 * area / (Math.PI / 4 * edge);
  }

  /* _fit: the marked part, scaled so that its longer side is 80. */
  function fit({ values, height, width }, marks) {
    const { top, bottom, left, right, size } = extent(marks, height, width);
    const [tall, broad] = [bottom - top, right - left].map((old) =>
      max(1, floor((2 * old * BOX * FINE + size) / (2 * size))));
    const half = coverRows(values, height, width, left, right, broad);
    const sums = coverRows(half, broad, height, top, bottom, tall);
    const area = (bottom - top) * (right - left);
    const scaled = Uint8Array.from(sums, (sum) => (2 * sum + area) / (2 * area));
    return { values: scaled, height: tall, width: broad };
  }

  /* Sums of what `count` new pixels cover of the old ones between `from` and `to`,
     which are `count` units long each; the result lies on its side. */
  function coverRows(values, height, width, from, to, count) {
    const old = to - from, turned = new Float64Array(count * height);
    for (let x = 0; x < count; x++) {
      const first = floor(x * old / count), last = ceil((x + 1) * old / count);
      for (let near = first; near < last; near++) {
        const end = min((x + 1) * old, (near + 1) * count);
        const units = end - max(x * old, near * count);
        for (let y = 0; y < height; y++) {
          turned[x * height + y] += units * values[y * width + from + near];
        }
      }
    }
    return turned;
  }

  /* The frame of what a pad holds: ink, as an ImageData, black on white; ink mixed with
     a picture; a picture's grey levels; or a frame already. */
  function frameOfPad({ drawn, mixed, sheet, levels }) {
    if (levels) return levels;
    if (drawn) {
      const { data, width, height } = drawn;
      const ink = new Uint8Array(width * height).map((_, n) => 255 - data[4 * n]);
      return frameStrokes(ink, width, height).image;
    }
    const { grey, width, height } = sheet ?? picture.grey(mixed);
    return frame(grey, width, height).image;
  }

  return { frame, frameStrokes, frameOfPad, grey: picture.grey };
});
