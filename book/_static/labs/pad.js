/* A pad to draw on with mouse, pen, finger or keys, or to put a picture on. */
"use strict";

lab.define("pad", ["pixels", "examples"], (
  { PAPER, paper, image, isDigit }, { digits },
) => {
  const { make, button, clamp } = lab;
  const SIDE = 280; // pixels of the pad: ten for each of MNIST's 28
  const MARGIN = 20; // paper all round: ink at the edge is not taken for a border
  const PEN = 22; // as broad on the pad as MNIST's strokes are in their frame
  const STEP = 10; // how far an arrow key moves the pen
  const BLANK = new Uint8Array(784);
  const HARD = 10; // of the examples, these and the later ones: softmax misreads them
  const LONGEST_SIDE = 1_600; // larger pictures are shrunk first, which saves memory
  const LARGEST_FILE = 20e6, MOST_PIXELS = 40e6;
  const UNREADABLE = "cannot be read as a picture: it is damaged or of another kind; "
    + "save it again as PNG or JPEG.";
  const SHRINK = "shrink it, 1,000 pixels a side is plenty.";

  /* The pixels of a file that the reader chose or pasted; what it cannot be is said in
     one sentence. Its size is known before it is decoded. */
  async function pixels(file) {
    if (file.size > LARGEST_FILE) {
      throw new Error(`has more than ${LARGEST_FILE / 1e6} MB: ${SHRINK}`);
    }
    const refuse = () => { throw new Error(UNREADABLE); };
    const source = new Image(), src = URL.createObjectURL(file);
    try {
      await new Promise((onload, onerror) =>
        Object.assign(source, { onload, onerror, src })).catch(refuse);
      const { naturalWidth: width, naturalHeight: height } = source;
      if (width * height > MOST_PIXELS) {
        throw new Error(`has more than ${MOST_PIXELS / 1e6} million pixels: ${SHRINK}`);
      }
      // Unlike an img element, this refuses a file that was cut short.
      // Python ignores a colour profile, too.
      const asStored = { colorSpaceConversion: "none" };
      const bitmap = await createImageBitmap(file, asStored).catch(refuse);
      const scale = Math.min(1, LONGEST_SIDE / Math.max(width, height));
      const sides = [width, height].map((side) => Math.ceil(side * scale));
      const [canvas, context] = paper(...sides);
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      bitmap.close(); // it may be 160 MB
      return context.getImageData(0, 0, canvas.width, canvas.height);
    } finally {
      URL.revokeObjectURL(src);
    }
  }

  /* The pad: a list of marks, strokes or pictures, the later ones over the earlier, and
     a picker of test digits. However often it changes, it is drawn once a frame, at
     most; then an `answer` is awaited, one at a time. Till the last, `busy` is busy. */
  function drawingPad({ described, busy, answer }) {
    const [canvas, context] = paper(SIDE, SIDE, {
      class: "lab-draw-pad", tabindex: 0, role: "application",
      "aria-label": "Drawing pad", "aria-describedby": described,
    });
    const ring = make("div.lab-draw-ring", { hidden: "" });
    const pen = { x: SIDE / 2, y: SIDE / 2, down: false };
    const held = new Map(); // ways of arrow keys; two at once move the pen aslant
    let marks = [], stroke = null, hand = null; // the finger, pen or mouse that draws

    let waiting = false, answering = false, version = 0;
    function changed() {
      if (!waiting) requestAnimationFrame(update);
      waiting = true;
      version++;
      busy.ariaBusy = "true";
    }
    async function update() {
      waiting = false;
      draw();
      if (answering) return; // and look again afterwards
      answering = true;
      const seen = version;
      picker.children[1].value = marks.at(-1)?.key ?? "";
      await answer(marks.at(-1) ?? {}); // another may be last when the answer comes
      answering = false;
      if (waiting) return;
      if (version === seen) busy.ariaBusy = "false";
      else changed();
    }

    const picker = lab.choice("test digit", [["", "choose"], ...digits.map(
      ({ label }, n) => [String(n), `${label}${n < HARD ? "" : ", hard"}`])], "",
      (key) => key && showDigit(key));
    /* What is in MNIST's frame already; on the pad it is dark on white. */
    function showLevels(levels, about) {
      show({ canvas: image(levels, 28, 28, PAPER), levels, ...about });
    }
    const showDigit = (key, opening = false) =>
      showLevels(lab.bytes(digits[key].image), { key, opening });

    /* What the pad opens with makes room for the reader's own. */
    const own = () => marks.filter(({ opening }) => !opening);

    function begin(...point) {
      stroke = { points: [point] };
      marks = [...own(), stroke];
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
    const draws = ({ pointerId }) =>
      pointerId === hand?.pointerId && canvas.hasPointerCapture(pointerId);
    function forget() { marks = marks.filter((mark) => mark !== stroke); }
    function place({ clientX, clientY }) {
      const { left, top, width } = canvas.getBoundingClientRect();
      return [clientX - left, clientY - top].map((n) => (n * SIDE) / width);
    }
    function showPen(shown = true) {
      ring.hidden = !shown;
      ring.classList.toggle("lab-draw-down", pen.down);
      ring.style.left = `${(100 * pen.x) / SIDE}%`;
      ring.style.top = `${(100 * pen.y) / SIDE}%`;
    }
    /* Go on with other marks: all but the last, none, or one more. */
    function remark(other) {
      lift();
      marks = other;
      changed();
    }
    const undo = () => remark(marks.slice(0, -1)), clear = () => remark([]);
    const show = (mark) => remark([...own(), mark]);

    function movePen() {
      for (const [down, right] of held.values()) {
        pen.x = clamp(pen.x + STEP * right, 0, SIDE);
        pen.y = clamp(pen.y + STEP * down, 0, SIDE);
      }
      if (pen.down) go(pen.x, pen.y);
    }

    Object.assign(canvas, {
      onpointerdown(event) {
        if (event.button !== 0) return; // a right click, say
        // The first finger draws, not a second one; but a pen does where a palm rests.
        if (hand && draws(hand)) {
          if (event.pointerType !== "pen" || hand.pointerType === "pen") return;
          forget();
        }
        hand = event;
        canvas.setPointerCapture(event.pointerId);
        lift();
        showPen(false);
        begin(...place(event));
      },
      oncontextmenu: (event) => hand && event.preventDefault(),
      onpointermove(event) {
        if (!stroke || !draws(event)) return;
        // A menu may have had the release.
        if (!event.buttons) return canvas.releasePointerCapture(event.pointerId);
        // Browsers report moves once a frame; the places in between make curves smooth.
        const moves = event.getCoalescedEvents?.() ?? [];
        for (const move of moves.length ? moves : [event]) go(...place(move));
      },
      // The system takes it back: it was a palm.
      onpointercancel(event) { if (draws(event)) forget(); },
      onlostpointercapture({ pointerId }) {
        if (pointerId !== hand?.pointerId) return;
        hand = null;
        lift();
        changed();
      },
      onfocus: () => showPen(canvas.matches(":focus-visible")),
      onblur() {
        held.clear();
        lift();
        showPen(false);
      },
      onkeyup({ key }) { held.delete(key); },
      onkeydown(event) {
        const { key, code, altKey, ctrlKey, metaKey } = event, way = lab.arrow(event);
        // Where letters are not Latin, the key is in the same place.
        const z = key.toLowerCase() === "z" || (code === "KeyZ" && key > "\x7f");
        if ((ctrlKey || metaKey) && z && !event.shiftKey) undo();
        else if (altKey || ctrlKey || metaKey) return; // the browser's own
        else if (way) {
          held.set(key, way);
          movePen();
        } else if (key === " " && event.repeat) return event.preventDefault();
        else if (key === " " && pen.down) lift();
        else if (key === " ") {
          pen.down = true;
          begin(pen.x, pen.y);
        } else if (key === "Escape") clear();
        else return;
        event.preventDefault(); // the page stays where it is
        showPen();
        changed();
      },
    });

    function drawPicture(shown) {
      const scale = SIDE / Math.max(shown.width, shown.height);
      const width = shown.width * scale, height = shown.height * scale;
      context.fillRect(0, 0, SIDE, SIDE);
      context.imageSmoothingEnabled = scale < 2; // MNIST's pixels stay squares
      context.drawImage(shown, (SIDE - width) / 2, (SIDE - height) / 2, width, height);
    }
    function drawStroke(points) {
      context.beginPath();
      context.moveTo(points[0][0], points[0][1] + 0.01); // no length would leave no dot
      for (const point of points) context.lineTo(...point);
      context.stroke();
    }
    function draw() {
      const pencil = { lineWidth: PEN, lineCap: "round", lineJoin: "round" };
      Object.assign(context, { fillStyle: "white", ...pencil });
      context.fillRect(0, 0, SIDE, SIDE);
      for (const { canvas: shown, points } of marks) {
        if (shown) drawPicture(shown);
        else drawStroke(points);
      }
    }

    /* What is to be framed: a picture's own pixels, the ink on the pad, or, where both
       are mixed, the pad with its margin. */
    function sheet() {
      const last = marks.at(-1);
      if (last.sheet) return { sheet: last.sheet };
      if (!marks.some(({ canvas: shown }) => shown)) {
        return { drawn: context.getImageData(0, 0, SIDE, SIDE) };
      }
      const width = SIDE + 2 * MARGIN; // what lies outside the canvas is transparent
      return { mixed: context.getImageData(-MARGIN, -MARGIN, width, width) };
    }

    /* The pad averaged down to 28 x 28, white on black: no framing at all. */
    function averaged() {
      const { data } = context.getImageData(0, 0, SIDE, SIDE);
      const sums = new Float32Array(784);
      for (let n = 0; n < SIDE ** 2; n++) {
        const mean = Math.round((data[4 * n] + data[4 * n + 1] + data[4 * n + 2]) / 3);
        const row = Math.floor(n / SIDE / 10), column = Math.floor(n % SIDE / 10);
        sums[28 * row + column] += 255 - mean;
      }
      return Uint8Array.from(sums, (sum) => Math.round(sum / 100));
    }

    /* What is to be read: a sheet to be framed, or 28 x 28 grey levels; or nothing. */
    function question(framed = true) {
      if (!marks.length) return null;
      const levels = framed ? marks.at(-1).levels : averaged();
      if (!levels) return sheet();
      return levels.some((level) => level > 0) ? { levels } : null;
    }

    /* What an address tells: the levels that were `read()`, none where the pad is
       blank; but of a test digit nothing, since the picker names it. */
    const state = (read) => ({
      get: () => (marks.at(-1)?.key ? null : read() ?? []),
      set(levels) {
        const own = true;
        if (levels?.length === 0) clear();
        else if (isDigit(levels)) showLevels(Uint8Array.from(levels), { own });
      },
    });

    return {
      element: make("div.lab-draw-sheet", canvas, ring),
      buttons: [button("Undo", undo), button("Clear", clear)],
      clear, changed, picker, question, show, showDigit, showLevels, state,
      get last() { return marks.at(-1); },
      get drawing() { return stroke !== null && !pen.down; },
      get pen() {
        if (ring.hidden) return "";
        const place = (n) => Math.min(28, Math.floor(n / 10) + 1);
        return `Pen ${pen.down ? "down" : "up"}, `
          + `row ${place(pen.y)}, column ${place(pen.x)} of 28. `;
      },
    };
  }

  /* In Python: 28 x 28 levels as `digit`, and the layer of softmax regression, whose
     weights are read where the page has them. */
  const program = (levels) => `import base64, json, numpy as np, urllib.request
from mnist_lesson import to_input
seen = base64.b64decode("${btoa(String.fromCharCode(...levels))}")
digit = np.frombuffer(seen, np.uint8).reshape(28, 28)
script = urllib.request.urlopen("${lab.folder}weights.js").read().decode()
layer = json.loads(script[script.index("{"):-3])["softmax regression"]["layers"][1]
w = np.frombuffer(base64.b64decode(layer["weight"]["whole"]), np.int8)
w = torch.tensor(w * layer["weight"]["step"]).float().reshape(10, 784)
b = torch.tensor(np.frombuffer(base64.b64decode(layer["bias"]), np.float16)).float()`;

  /* What frames a pad's question, in a worker. */
  const framer = () => lab.offload(({ frameOfPad }) => function* frame(asked) {
    return frameOfPad(asked);
  }, "framing");

  /* A pad that is read when the hand rests. `take` gets its 28 x 28 levels, `BLANK` of
     a blank one; where it shows no digit none, and what is to be said of that. */
  async function readingPad({ take, ...settings }) {
    const framed = await framer();
    async function answer() {
      if (pad.drawing) return; // the ink follows the hand
      const asked = pad.question();
      let fault = "";
      const levels = asked ? asked.levels ?? await framed(asked)
        .catch(({ message }) => { fault = `The drawing ${message}`; }) : BLANK;
      take(levels, fault);
    }
    const pad = drawingPad({ ...settings, answer });
    return pad;
  }

  return { HARD, BLANK, program, pixels, drawingPad, readingPad, framer };
});
