/* Numbers as pixels: grey levels, and maps in colour. */
"use strict";

{
  const { make, largest, clamp } = lab;

  function paper(width, height = width, attributes = {}) {
    const canvas = make("canvas", { width, height, ...attributes });
    return [canvas, canvas.getContext("2d", { willReadFrequently: true })];
  }

  /* Blue below 0, white 0, red above; the share is of the largest number. */
  const tint = (share) => (share < 0 ? [33, 102, 172] : [178, 24, 43])
    .map((end) => Math.round(255 + Math.abs(share) * (end - 255)));

  /* The colours of the shares from -1 to 1 in 511 steps, as a canvas has them; `of`
     gives one as red, green and blue. */
  const palette = (of) => Uint32Array.from({ length: 511 }, (_, n) => {
    const [red, green, blue] = of((n - 255) / 255).map(Math.round);
    return 0xff000000 | blue << 16 | green << 8 | red;
  });
  const COLOURS = palette(tint);
  const INK = palette((share) => Array(3).fill(255 * share)); // white on black
  const PAPER = palette((share) => Array(3).fill(255 - 255 * share));

  /* Put a colour on a canvas for each number, by its share of the limit. */
  function paint(canvas, values, limit = largest(values), colours = COLOURS) {
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(canvas.width, canvas.height);
    const whole = new Uint32Array(pixels.data.buffer); // a pixel's four bytes at once
    for (let n = 0; n < values.length; n++) {
      whole[n] = colours[255 + Math.round(255 * values[n] / (limit || 1))];
    }
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  /* Grey levels as a canvas. */
  const image = (levels, width, height, colours = INK) =>
    paint(paper(width, height)[0], levels, 255, colours);

  const MARK = "#e66100"; // around what is chosen

  /* A canvas with square maps side by side: `size` pixels each, every `pitch` pixels,
     so many in a row, and with a grey line around each if there is a `rim`. It outlines
     a square of cells, or fills it, and tells which cell the pointer is on. */
  function picture(attributes) {
    const canvas = make("canvas", attributes), context = canvas.getContext("2d");
    let maps, side, size, columns, pitch, rim;
    const corner = (map) => [map % columns, Math.floor(map / columns)]
      .map((n) => rim + pitch * n);
    const square = ({ map = 0, row = 0, column = 0, size: cells }, inset = 0) => {
      const [left, top] = corner(map), scale = size / side;
      const length = scale * cells - 2 * inset;
      return [left + scale * column + inset, top + scale * row + inset, length, length];
    };
    return {
      canvas,
      paint(stage, plan, ...colours) {
        ({ maps, side } = stage);
        ({ size, columns = 1, pitch = size + 2, rim = 1 } = plan);
        const rows = Math.ceil(maps / columns);
        canvas.width = pitch * (columns - 1) + size + 2 * rim;
        canvas.height = pitch * (rows - 1) + size + 2 * rim;
        context.imageSmoothingEnabled = false;
        context.fillStyle = "#888";
        const all = paint(paper(side, side * maps)[0], stage.values, ...colours);
        for (let map = 0; map < maps; map++) {
          const [left, top] = corner(map), outer = size + 2 * rim;
          context.fillRect(left - rim, top - rim, outer, outer);
          context.drawImage(all, 0, side * map, side, side, left, top, size, size);
        }
      },
      fill(place, colour) {
        context.fillStyle = colour;
        context.fillRect(...square(place));
      },
      outline(place, width = 2, colour = MARK) {
        Object.assign(context, { strokeStyle: colour, lineWidth: width });
        context.strokeRect(...square(place, width / 2 - rim));
      },
      hit({ clientX, clientY }) {
        const box = canvas.getBoundingClientRect(), scale = canvas.width / box.width;
        const [x, y] = [clientX - box.left, clientY - box.top]
          .map((n) => scale * n - rim);
        const cell = (n) => clamp(Math.floor(n % pitch * side / size), 0, side - 1);
        const map = columns * Math.floor(y / pitch) + Math.floor(x / pitch);
        return { map: clamp(map, 0, maps - 1), row: cell(y), column: cell(x) };
      },
    };
  }

  /* A digit as a map, and a picture that is only looked at. */
  const digitMap = (values) => ({ maps: 1, side: 28, values });
  const seen = (name) => picture({ role: "img", "aria-label": name });

  /* Attributes of what one chooses from, by a press or with the arrow keys. */
  const touchable = (name, press, move, more) => ({
    tabindex: 0, role: "application", "aria-label": name, onclick: press,
    onkeydown(event) {
      const way = lab.arrow(event);
      if (way) move(...way);
    },
    ...more,
  });

  /* Whether this, from an address, can be the grey levels of a digit. */
  const isDigit = (levels) => Array.isArray(levels) && levels.length === 784
    && levels.every((level) => Number.isInteger(level) && level >= 0 && level <= 255);

  lab.define("pixels", {
    INK, PAPER, tint, paper, palette, paint, image, picture, digitMap, seen, touchable,
    isDigit,
  });
}
