/* Draw a digit: three classifiers read it while it is drawn. */
"use strict";

{
  const { make, button, choice, status } = lab;
  const SIDE = 280; // pixels of the pad: ten for each of MNIST's 28
  const MARGIN = 20; // paper all round, so that ink at the edge is not taken for a border
  const PEN = 22; // as broad on the pad as MNIST's strokes are in their frame
  const STEP = 10; // how far an arrow key moves the pen
  const LONGEST_SIDE = 1_600; // larger pictures are shrunk first, which saves memory
  const LARGEST_FILE = 20e6, MOST_PIXELS = 40e6;
  const SETTLED = 400; // milliseconds without a change, after which the result is spoken
  const BLANK = "The pad is blank: draw a digit, and the three models read it while you draw.";
  const UNREADABLE = "cannot be read as a picture: it is damaged or of another kind; save it again as PNG or JPEG.";
  const SHRINK = "shrink it, 1,000 pixels a side are plenty.";
  const MODELS = ["softmax regression", "multilayer perceptron", "LeNet"];
  const MOVES = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };

  const percent = (share, places = 1) => `${(100 * share).toFixed(places)}\u00a0%`;

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

  /* A table: ten rows of probabilities, a column for each model. */
  function readings() {
    const answers = MODELS.map(() => make("td", { class: "lab-draw-answer" }));
    const accuracies = MODELS.map(() => make("small", {}, "test accuracy –"));
    const cells = Array.from({ length: 10 }, () => MODELS.map(() => {
      const text = make("span"), bar = make("div", { class: "lab-draw-bar" });
      return { text, bar, cell: make("td", {}, text, bar) };
    }));
    const row = (name, tds) => make("tr", {}, make("th", { scope: "row" }, name), tds);
    return {
      element: make("table", { class: "lab-draw-table" },
        make("caption", {}, "What the models read, and the probability of each digit"),
        make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "digit"),
          MODELS.map((name, m) => make("th", { scope: "col" }, name, accuracies[m])))),
        make("tbody", {}, row("reads", answers),
          cells.map((tds, digit) => row(digit, tds.map(({ cell }) => cell))))),
      /* The models, as weights.js has them. */
      judge(weights) {
        MODELS.forEach((name, m) => {
          accuracies[m].textContent = `test accuracy ${percent(weights[name].accuracy, 2)}`;
        });
      },
      /* The ten probabilities of each model, or null. */
      show(probabilities) {
        MODELS.forEach((_, m) => {
          const p = probabilities?.[m];
          const best = p && p.indexOf(Math.max(...p));
          answers[m].textContent = best ?? "–";
          cells.forEach((tds, digit) => {
            const { text, bar, cell } = tds[m];
            text.textContent = p ? percent(p[digit]) : "–";
            bar.style.width = `${100 * (p?.[digit] ?? 0)}%`;
            cell.classList.toggle("lab-draw-best", digit === best);
          });
        });
      },
    };
  }

  /* Feature maps as pictures, ten in a row: black for 0, white for the layer's largest. */
  function featureMaps() {
    const names = ["first", "second"];
    const pictures = names.map(() => make("canvas", { role: "img", width: 129 }));
    const texts = names.map((name, n) => `${[20, 50][n]} feature maps after the ${name} convolution, pooling and ReLU`);
    const element = make("details", { class: "lab-draw-maps" }, make("summary", {}, "LeNet's feature maps"),
      pictures.map((canvas, n) => make("figure", {}, canvas, make("figcaption", {}, `${texts[n]}: black is 0.`))));
    return {
      element,
      show(layers = [{ maps: 20, side: 12 }, { maps: 50, side: 4 }]) {
        if (!element.open) return;
        layers.forEach(({ maps, side, values }, n) => {
          const canvas = pictures[n], size = 12 / side;
          canvas.height = 13 * (maps / 10) - 1; // also wipes it
          const context = canvas.getContext("2d");
          const largest = values ? values.reduce((a, b) => Math.max(a, b), 1e-9) : 1;
          let alive = 0;
          for (let map = 0; map < maps; map++) {
            const own = values?.subarray(map * side ** 2, (map + 1) * side ** 2);
            alive += own?.some((value) => value > 0) ?? 0;
            for (let at = 0; at < side ** 2; at++) {
              const level = own ? Math.round((255 * own[at]) / largest) : 0;
              context.fillStyle = `rgb(${level} ${level} ${level})`;
              context.fillRect(13 * (map % 10) + size * (at % side),
                13 * Math.floor(map / 10) + size * Math.floor(at / side), size, size);
            }
          }
          canvas.setAttribute("aria-label", `${texts[n]}: ${alive} of them are not all 0.`);
        });
      },
    };
  }

  /* What the preview shows, in words. */
  function words(levels) {
    const rows = [], columns = [];
    levels?.forEach((level, n) => {
      if (level > 50) {
        rows.push(Math.floor(n / 28) + 1);
        columns.push((n % 28) + 1);
      }
    });
    return rows.length
      ? `What the models see: ink in rows ${rows[0]} to ${rows.at(-1)} and columns ${Math.min(...columns)} to ${Math.max(...columns)} of 28.`
      : "What the models see: nothing yet.";
  }

  /* What the worker does with a picture, or with what is to be framed and read. */
  function* read({ picture, drawn, mixed, grey, width, height, levels, wantMaps }, framing, { models, softmax }, toInput) {
    if (picture) return framing.grey(picture);
    if (drawn) { // black on white
      ({ width, height } = drawn);
      const ink = Uint8Array.from({ length: width * height }, (_, n) => 255 - drawn.data[4 * n]);
      levels = framing.frameStrokes(ink, width, height).image;
    }
    if (mixed) ({ grey, width, height } = framing.grey(mixed));
    if (grey) levels = framing.frame(grey, width, height).image;
    yield;
    const input = toInput(levels), probabilities = [];
    for (const model of models) {
      probabilities.push(softmax(model.logits(input)));
      yield;
    }
    const maps = wantMaps ? models.find(({ name }) => name === "LeNet").featureMaps(input) : undefined;
    return { levels, probabilities, maps };
  }

  lab.define("draw", async (root) => {
    const weights = lab.load("weights"); // on a slow network the pad is there before them
    const recipes = Promise.all([lab.fetchPart("framing"), lab.fetchPart("models")]);
    let arrived = false;
    const reader = recipes.then((parts) => lab.offload(read, ...parts, lab.scaling)).catch(({ message }) =>
      () => Promise.reject(new Error(`cannot be read: the models did not arrive (${message}); reload the page.`)))
      .finally(() => { arrived = true; });
    const examples = await lab.load("examples");
    const help = make("p", { id: "lab-draw-help" },
      "Draw one digit with mouse, pen or finger. With keys: arrows move the pen, space puts it down or lifts it, Escape clears. Or upload or paste a picture, or pick one of MNIST's test digits; softmax regression misreads the hard ones.");
    const pad = drawingPad(changed, help.id);
    const [preview, context] = paper(28, 28, { class: "lab-draw-preview", role: "img" });
    const table = readings();
    const maps = featureMaps();
    const line = status(); // above the pad: there the eye is, and a phone's screen
    line.classList.add("lab-draw-line");
    const framed = make("input", { type: "checkbox", checked: "", onchange: changed });
    const upload = make("input", { type: "file", accept: "image/*", hidden: "", onchange: () => {
      take(upload.files[0]);
      upload.value = ""; // so that the same file can be chosen again
    } });
    const decoded = examples.map(({ label, image: text }) => ({
      label, levels: Uint8Array.from(atob(text), (character) => character.charCodeAt(0)),
    }));
    const picker = choice("test digit", [["", "choose"], ...decoded.map(({ label }, n) =>
      [String(n), `${label}${n < 10 ? "" : ", hard"}`])], "", (key) => {
      if (key !== "") pad.show({ ...example(decoded[key].levels), key });
    });
    const select = picker.querySelector("select");

    /* A test digit is in MNIST's frame already; on the pad it is dark on white. */
    function example(levels) {
      return { canvas: image(levels.map((level) => 255 - level), 28, 28), levels };
    }

    let newest = null; // an earlier file that takes longer must not come after it
    async function take(file) {
      if (!file) return;
      newest = file;
      try {
        const sheet = await (await reader)({ picture: await pixels(file) });
        if (file === newest) pad.show({ sheet, canvas: image(sheet.grey, sheet.width, sheet.height) });
      } catch (error) {
        if (file === newest) say(`The file ${error.message} The pad stays as it was.`);
      }
    }
    const pasted = (event) => {
      const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
      if (file) take(file);
    };
    document.addEventListener("paste", pasted);

    let timer = 0, waiting = false, reading = false, version = 0, seen = 0;
    function say(text, wait = 0) {
      clearTimeout(timer);
      timer = setTimeout(() => { line.textContent = text; }, wait);
    }
    /* However often the pad changes, it is drawn at most once a frame, and read when the
       worker has done with what it had before. */
    function changed() {
      if (!waiting) requestAnimationFrame(update);
      waiting = true;
      version++;
      table.element.ariaBusy = "true";
    }
    async function update() {
      waiting = false;
      pad.draw();
      if (reading) return; // and look again afterwards
      reading = true;
      await answer();
      reading = false;
      if (waiting) return;
      if (version === seen) table.element.ariaBusy = "false";
      else changed();
    }

    /* What the models get: a sheet to be framed, or 28 x 28 grey levels; null is nothing. */
    function question() {
      if (!pad.last) return null;
      const levels = framed.checked ? pad.last.levels : pad.averaged();
      if (!levels) return pad.sheet();
      return levels.some((level) => level > 0) ? { levels } : null;
    }
    async function answer() {
      seen = version;
      select.value = pad.last?.key ?? "";
      const asked = question(), what = pad.last?.canvas ? "picture" : "drawing";
      let said = {}, text = BLANK;
      if (asked && !arrived) say("The models are on their way: draw meanwhile.");
      try {
        if (asked) said = await (await reader)({ ...asked, wantMaps: maps.element.open });
      } catch (error) {
        text = `The ${what} ${error.message}`;
      }
      const { levels, probabilities } = said;
      context.drawImage(image(levels ?? new Uint8Array(784), 28, 28), 0, 0);
      preview.setAttribute("aria-label", words(levels));
      table.show(probabilities);
      maps.show(said.maps);
      if (probabilities) {
        text = `${probabilities.map((p, m) => {
          const most = Math.max(...p);
          return `${MODELS[m]} reads ${p.indexOf(most)} (${percent(most)})`;
        }).join(", ")}.`;
        text = text[0].toUpperCase() + text.slice(1);
      }
      if (!pad.drawing) say(pad.pen + text, SETTLED);
    }
    maps.element.addEventListener("toggle", changed);

    root.append(
      help,
      line,
      make("div", { class: "lab-draw" },
        make("div", { class: "lab-draw-left" },
          pad.element,
          make("div", { class: "lab-row" }, button("Undo", pad.undo), button("Clear", pad.clear),
            button("Upload", () => upload.click(), { "aria-label": "Upload a picture" }), upload),
          make("div", { class: "lab-draw-sees" },
            make("div", {}, preview, make("small", {}, "what the models see")),
            make("div", {},
              make("label", { class: "lab-draw-switch" }, framed, make("span", {}, "centre and scale as MNIST did")),
              picker))),
        table.element),
      maps.element,
    );
    line.textContent = BLANK;
    update();
    weights.then(table.judge, () => {}); // without them, the pad says so
  });
}
