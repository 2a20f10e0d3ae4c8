/* A pad to draw on with mouse, pen, finger or keys, or to put a picture on.

   const { paper, image, pixels, drawingPad } = await lab.load("pad"); */
"use strict";

{
  const { make } = lab;
  const SIDE = 280; // pixels of the pad: ten for each of MNIST's 28
  const MARGIN = 20; // paper all round, so that ink at the edge is not taken for a border
  const PEN = 22; // as broad on the pad as MNIST's strokes are in their frame
  const STEP = 10; // how far an arrow key moves the pen
  const MOVES = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  const LONGEST_SIDE = 1_600; // larger pictures are shrunk first, which saves memory
  const LARGEST_FILE = 20e6, MOST_PIXELS = 40e6;
  const UNREADABLE = "cannot be read as a picture: it is damaged or of another kind; save it again as PNG or JPEG.";
  const SHRINK = "shrink it, 1,000 pixels a side are plenty.";

  function paper(width, height = width, attributes = {}) {
    const canvas = make("canvas", { width, height, ...attributes });
    return [canvas, canvas.getContext("2d", { willReadFrequently: true })];
  }

  /* RGBA pixels to grey levels on white paper: a plain mean of the three colours. */
  function greys({ data }) {
    const grey = new Uint8Array(data.length / 4);
    for (let n = 0, at = 0; n < grey.length; n++, at += 4) {
      const mean = (data[at] + data[at + 1] + data[at + 2]) / 3;
      grey[n] = Math.round(255 - ((255 - mean) * data[at + 3]) / 255);
    }
    return grey;
  }

  /* Grey levels, put on a canvas. */
  function image(levels, width, height) {
    const [canvas, context] = paper(width, height);
    const pixels = context.createImageData(width, height);
    levels.forEach((level, n) => pixels.data.set([level, level, level, 255], 4 * n));
    context.putImageData(pixels, 0, 0);
    return canvas;
  }

  /* The pixels of a file that the reader chose or pasted; what it cannot be is said in
     one sentence. Its size is known before it is decoded. */
  async function pixels(file) {
    if (file.size > LARGEST_FILE) throw new Error(`has more than ${LARGEST_FILE / 1e6} MB: ${SHRINK}`);
    const source = new Image();
    const url = URL.createObjectURL(file);
    try {
      await new Promise((resolve, reject) => {
        source.onload = resolve;
        source.onerror = () => reject(new Error(UNREADABLE));
        source.src = url;
      });
      const { naturalWidth: width, naturalHeight: height } = source;
      if (width * height > MOST_PIXELS) throw new Error(`has more than ${MOST_PIXELS / 1e6} million pixels: ${SHRINK}`);
      // Unlike an img element, this refuses a file that was cut short.
      // Python ignores a colour profile, too.
      const bitmap = await createImageBitmap(file, { colorSpaceConversion: "none" })
        .catch(() => { throw new Error(UNREADABLE); });
      const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
      const [canvas, context] = paper(Math.ceil(width * scale), Math.ceil(height * scale));
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      return context.getImageData(0, 0, canvas.width, canvas.height);
    } finally {
      URL.revokeObjectURL(url);
    }
  }

  /* The pad: a list of marks, strokes or pictures, the later ones over the earlier. */
  function drawingPad(changed, described) {
    const [canvas, context] = paper(SIDE, SIDE, {
      class: "lab-draw-pad", tabindex: 0, role: "application",
      "aria-label": "Drawing pad", "aria-describedby": described,
    });
    const ring = make("div", { class: "lab-draw-ring", hidden: "" });
    const pen = { x: SIDE / 2, y: SIDE / 2, down: false };
    const held = new Set(); // arrow keys; two at once move the pen aslant
    let marks = [], stroke = null;

    function begin(...point) {
      stroke = { points: [point] };
      marks.push(stroke);
      changed();
    }
    function go(...point) {
      stroke.points.push(point);
      changed();
    }
    function lift() {
      stroke = null;
      pen.down = false;
    }
    function place(event) {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top].map((n) => (n * SIDE) / box.width);
    }
    function showPen(shown = true) {
      ring.hidden = !shown;
      ring.classList.toggle("lab-draw-down", pen.down);
      ring.style.left = `${(100 * pen.x) / SIDE}%`;
      ring.style.top = `${(100 * pen.y) / SIDE}%`;
    }
    function undo() {
      lift();
      marks.pop();
      changed();
    }
    function clear() {
      lift();
      marks = [];
      changed();
    }

    const on = (name, listen) => canvas.addEventListener(name, listen);
    on("pointerdown", (event) => {
      if (!event.isPrimary || event.button !== 0) return; // a second finger, a right click
      canvas.setPointerCapture(event.pointerId);
      lift();
      showPen(false);
      begin(...place(event));
    });
    on("pointermove", (event) => {
      if (!stroke || !canvas.hasPointerCapture(event.pointerId)) return;
      // A browser reports moves once a frame; the places in between make curves smooth.
      const moves = event.getCoalescedEvents?.() ?? [];
      for (const move of moves.length ? moves : [event]) go(...place(move));
    });
    on("lostpointercapture", () => {
      lift();
      changed();
    });
    on("focus", () => showPen(canvas.matches(":focus-visible")));
    on("blur", () => {
      held.clear();
      lift();
      showPen(false);
    });
    on("keyup", ({ key }) => held.delete(key));
    on("keydown", (event) => {
      const { key, altKey, ctrlKey, metaKey } = event;
      if ((ctrlKey || metaKey) && key === "z") undo();
      else if (altKey || ctrlKey || metaKey) return; // the browser's own
      else if (key in MOVES) {
        held.add(key);
        for (const [x, y] of [...held].map((name) => MOVES[name])) {
          pen.x = Math.min(SIDE, Math.max(0, pen.x + STEP * x));
          pen.y = Math.min(SIDE, Math.max(0, pen.y + STEP * y));
        }
        if (pen.down) go(pen.x, pen.y);
      } else if (key === " ") {
        if (pen.down) lift();
        else {
          pen.down = true;
          begin(pen.x, pen.y);
        }
      } else if (key === "Escape") clear();
      else return;
      event.preventDefault(); // the page stays where it is
      showPen();
      changed();
    });

    function draw() {
      context.fillStyle = "white";
      context.fillRect(0, 0, SIDE, SIDE);
      Object.assign(context, { lineWidth: PEN, lineCap: "round", lineJoin: "round" });
      for (const { canvas: shown, points } of marks) {
        if (shown) {
          const scale = SIDE / Math.max(shown.width, shown.height);
          const width = shown.width * scale, height = shown.height * scale;
          context.fillRect(0, 0, SIDE, SIDE);
          context.imageSmoothingEnabled = scale < 2; // MNIST's pixels stay squares
          context.drawImage(shown, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
        } else {
          context.beginPath();
          context.moveTo(points[0][0], points[0][1] + 0.01); // a line of no length has no dot
          for (const [x, y] of points) context.lineTo(x, y);
          context.stroke();
        }
      }
    }

    /* What is to be framed: a picture's own pixels, the ink on the pad, or, where both
       are mixed, the pad with its margin. */
    function sheet() {
      const last = marks.at(-1);
      if (last.sheet) return last.sheet;
      if (!marks.some(({ canvas: shown }) => shown)) return { drawn: context.getImageData(0, 0, SIDE, SIDE) };
      const width = SIDE + 2 * MARGIN; // what lies outside the canvas is transparent
      return { mixed: context.getImageData(-MARGIN, -MARGIN, width, width) };
    }

    /* The pad averaged down to 28 x 28, white on black: no framing at all. */
    function averaged() {
      const grey = greys(context.getImageData(0, 0, SIDE, SIDE));
      const sums = new Float32Array(784);
      grey.forEach((level, n) => {
        sums[28 * Math.floor(n / SIDE / 10) + Math.floor((n % SIDE) / 10)] += 255 - level;
      });
      return Uint8Array.from(sums, (sum) => Math.round(sum / 100));
    }

    return {
      element: make("div", { class: "lab-draw-sheet" }, canvas, ring),
      draw, sheet, averaged, undo, clear,
      show(mark) {
        lift();
        marks.push(mark);
        changed();
      },
      get drawing() { return stroke !== null && !pen.down; },
      get last() { return marks.at(-1); },
      get pen() {
        const [column, row] = [pen.x, pen.y].map((n) => Math.min(28, Math.floor(n / 10) + 1));
        return ring.hidden ? "" : `Pen ${pen.down ? "down" : "up"}, row ${row}, column ${column} of 28. `;
      },
    };
  }

  lab.define("pad", { paper, image, pixels, drawingPad });
}
