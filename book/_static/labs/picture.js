/* From a picture's colours to grey levels, as mnist_lesson/picture.py makes them. */
"use strict";

lab.define("picture", [], function picture() {
  const { floor, max, round } = Math;

  const SIDE = 400, SMALLEST_SIDE = 8, MOST_PIXELS = 89_000_000, CONTRAST = 64;

  /* read_grey: grey levels, at most 400 pixels a side, from a canvas's ImageData. */
  function grey({ data, width, height }) {
    if (width * height > MOST_PIXELS) {
      throw new Error("has more than 89 million pixels: "
        + "shrink it, 1,000 pixels a side is plenty.");
    }
    refuseSmall(width, height);
    const levels = new Uint8Array(width * height);
    let opaque = true;
    // A plain mean, for the eye's weights would make yellow and blue pens vanish.
    for (let i = 0, at = 0; i < levels.length; i++, at += 4) {
      levels[i] = (data[at] + data[at + 1] + data[at + 2] + 1) / 3;
      opaque &&= data[at + 3] === 255;
    }
    if (!opaque) overPaper(data, levels);
    const longer = max(width, height);
    if (longer <= SIDE) return { grey: levels, width, height };
    const [broad, tall] = [width, height].map((n) =>
      max(1, floor((2 * n * SIDE + longer) / (2 * longer))));
    const half = meanRows(levels, height, width, broad);
    return { grey: meanRows(half, broad, height, tall), width: broad, height: tall };
  }

  /* Pillow's box filter along each row, the mean of the old pixels whose middles lie in
     a new one; the result lies on its side. */
  function meanRows(values, height, width, count) {
    const turned = new Uint8Array(height * count);
    const scale = width / count;
    for (let x = 0; x < count; x++) {
      const centre = (x + 0.5) * scale;
      const lies = (i) => { // a tie is as Pillow rounds it
        const distance = (i - centre + 0.5) * (1 / scale);
        return distance > -0.5 && distance <= 0.5;
      };
      const edge = (side) => floor(centre + side * scale / 2 + 0.5);
      let first = edge(-1), last = edge(1);
      while (!lies(first)) first++;
      while (!lies(last - 1)) last--;
      for (let y = 0; y < height; y++) {
        let sum = 0;
        for (let i = y * width + first; i < y * width + last; i++) sum += values[i];
        turned[x * height + y] = sum / (last - first) + 0.5;
      }
    }
    return turned;
  }

  /* _on_paper: the levels of a transparent drawing, on a paper it stands out from. */
  function overPaper(data, levels) {
    const paper = paperUnder(data);
    for (let i = 0, at = 0; i < levels.length; i++, at += 4) {
      const cover = data[at + 3] / 255;
      let sum = 0;
      for (let c = 0; c < 3; c++) {
        sum += round(data[at + c] * cover + paper[c] * (1 - cover));
      }
      levels[i] = round(sum / 3);
    }
  }

  function paperUnder(data) {
    const counts = [0, 1, 2].map(() => new Float64Array(256));
    let covered = 0, ink = 0, alpha = 0;
    for (let i = 0; i < data.length; i += 4) {
      alpha += data[i + 3];
      for (let c = 0; c < 3; c++) {
        ink += data[i + c] * data[i + 3] / 255;
        if (data[i + 3] > 127) counts[c][data[i + c]]++;
      }
      covered += data[i + 3] > 127;
    }
    const ranges = counts.map((count) =>
      count.findLastIndex((n) => n) - count.findIndex((n) => n));
    // A picture of which only corners are cut, say, has its own paper.
    const own = 8 * covered > data.length && max(...ranges) > CONTRAST;
    if (own) return counts.map(median);
    return Array(3).fill(2 * ink < 3 * alpha || !alpha ? 255 : 0);
  }

  /* The median of grey levels, of which is known how often each occurs. */
  function median(counts) {
    const all = counts.reduce((a, b) => a + b);
    const nth = (rank) => counts.findIndex((count) => (rank -= count) < 0);
    return floor((nth(floor((all - 1) / 2)) + nth(floor(all / 2))) / 2);
  }

  function refuseSmall(width, height) {
    if (max(width, height) < SMALLEST_SIDE) {
      throw new Error(
        `is only ${width}x${height} pixels: take a picture of at least 28x28.`);
    }
  }

  return { grey, refuseSmall };
});
