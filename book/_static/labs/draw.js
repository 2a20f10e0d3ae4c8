/* Draw a digit: the models read it while it is drawn. */
"use strict";

{
  const { make, button, choice, percent, bytes } = lab;
  const BLANK =
    "The pad is blank: draw a digit, and the models read it while you draw.";
  const OPENING = 15; // of the examples: the three models don't agree about it
  const HELP = "Draw one digit with mouse, pen or finger. With keys: arrows move the "
    + "pen, space puts it down or lifts it, Escape clears. Or upload or paste a "
    + "picture, or pick one of MNIST's test digits; "
    + "softmax regression misreads the hard ones.";

  /* A table: ten rows of probabilities, a column for each model. */
  function readings(accuracies) {
    const columns = Object.entries(accuracies).map(([name, accuracy]) => ({
      heading: [name, make("small", `test accuracy ${percent(accuracy, 2)}`)],
      answer: make("td.lab-draw-answer"),
      cells: Array.from({ length: 10 }, () =>
        make("td", make("span"), make("div.lab-draw-bar"))),
    }));
    const row = (name, cells) => make("tr", make("th", { scope: "row" }, name), cells);
    const rows = Array.from({ length: 10 }, (_, digit) =>
      row(String(digit), columns.map(({ cells }) => cells[digit])));
    return {
      element: make("table.lab-draw-table",
        make("caption", "What the models read, and the probability of each digit"),
        lab.heading("digit", ...columns.map(({ heading }) => heading)),
        make("tbody", row("reads", columns.map(({ answer }) => answer)), rows)),
      /* The ten probabilities of each model; none where nothing is read. */
      show: (read = []) => columns.forEach(({ answer, cells }, m) => {
        const best = read[m]?.indexOf(Math.max(...read[m]));
        answer.textContent = best ?? "–";
        cells.forEach((cell, digit) => {
          const [text, bar] = cell.children, share = read[m]?.[digit];
          text.textContent = share === undefined ? "–" : percent(share);
          bar.style.width = `${100 * (share ?? 0)}%`;
          cell.classList.toggle("lab-draw-best", digit === best);
        });
      }),
    };
  }

  /* Feature maps as pictures, ten in a row: black is 0, white the layer's largest. */
  function featureMaps() {
    const blank = [{ maps: 20, side: 12 }, { maps: 50, side: 4 }];
    const texts = ["first", "second"].map((name, n) => `${blank[n].maps} feature maps `
      + `after the ${name} convolution, pooling and ReLU`);
    const pictures = texts.map(() => make("canvas", { role: "img", width: 129 }));
    const element = make("details.lab-draw-maps",
      make("summary", "LeNet's feature maps"), pictures.map((canvas, n) =>
        make("figure", canvas, make("figcaption", `${texts[n]}: black is 0.`))));

    function draw(canvas, { maps, side, values = new Float32Array(maps * side ** 2) }) {
      const size = 12 / side, largest = values.reduce((a, b) => Math.max(a, b), 1e-9);
      canvas.height = 13 * (maps / 10) - 1; // also wipes it
      const context = canvas.getContext("2d");
      values.forEach((value, n) => {
        const map = Math.floor(n / side ** 2), at = n % side ** 2;
        const level = Math.round((255 * value) / largest);
        context.fillStyle = `rgb(${level} ${level} ${level})`;
        context.fillRect(13 * (map % 10) + size * (at % side),
          13 * Math.floor(map / 10) + size * Math.floor(at / side), size, size);
      });
      return Array.from({ length: maps }, (_, map) =>
        values.subarray(map * side ** 2, (map + 1) * side ** 2))
        .filter((own) => own.some((value) => value > 0)).length;
    }
    return {
      element,
      show: (layers = blank) => element.open && layers.forEach((layer, n) =>
        pictures[n].setAttribute("aria-label",
          `${texts[n]}: ${draw(pictures[n], layer)} of them are not all 0.`)),
    };
  }

  /* What the preview shows, in words. */
  function words(levels = []) {
    const ink = Array.from(levels.keys()).filter((n) => levels[n] > 50);
    if (!ink.length) return "What the models see: nothing yet.";
    const span = (places) => `${Math.min(...places) + 1} to ${Math.max(...places) + 1}`;
    const rows = ink.map((n) => Math.floor(n / 28)), columns = ink.map((n) => n % 28);
    return "What the models see: ink in "
      + `rows ${span(rows)} and columns ${span(columns)} of 28.`;
  }

  /* What the worker does with a picture, or with what is to be framed and read. */
  function* read(
    { picture, drawn, mixed, sheet, levels, wantMaps },
    framing, { models, softmax }, { toInput },
  ) {
    if (picture) return framing.grey(picture);
    if (drawn) { // black on white
      const { data, width, height } = drawn;
      const ink = new Uint8Array(width * height).map((_, n) => 255 - data[4 * n]);
      levels = framing.frameStrokes(ink, width, height).image;
    }
    if (mixed) sheet = framing.grey(mixed);
    if (sheet) levels = framing.frame(sheet.grey, sheet.width, sheet.height).image;
    yield;
    const input = toInput(levels), probabilities = [];
    for (const model of models) {
      probabilities.push(softmax(model.logits(input)));
      yield;
    }
    const lenet = models.find(({ name }) => name === "LeNet");
    const maps = wantMaps ? lenet.featureMaps(input) : undefined;
    return { levels, probabilities, maps };
  }

  /* The worker; without the models, each question is answered with a sentence. */
  async function reading() {
    try {
      const parts = await Promise.all(["framing", "models"].map(lab.fetchPart));
      return lab.offload(read, ...parts, lab.maths);
    } catch ({ message }) {
      return () => Promise.reject(new Error(
        `cannot be read: the models did not arrive (${message}); reload the page.`));
    }
  }

  lab.define("draw", async (root) => {
    let arrived = false; // on a slow network the pad is there before the models
    const reader = reading().finally(() => { arrived = true; });
    const [{ paper, image, pixels, drawingPad }, { accuracies, digits }] =
      await Promise.all(["pad", "examples"].map(lab.load));
    const help = make("p", { id: "lab-draw-help" }, HELP);
    const pad = drawingPad(changed, help.id);
    const [preview, context] =
      paper(28, 28, { class: "lab-draw-preview", role: "img" });
    const table = readings(accuracies), maps = featureMaps();
    const line = lab.status(); // above the pad: there the eye is, and a phone's screen
    line.classList.add("lab-draw-line");
    const framed = make("input", { type: "checkbox", checked: "", onchange: changed });
    const upload = make("input", { type: "file", accept: "image/*", hidden: "" });
    upload.addEventListener("change", () => {
      take(upload.files[0]);
      upload.value = ""; // so that the same file can be chosen again
    });
    const options = digits.map(({ label }, n) =>
      [String(n), `${label}${n < 10 ? "" : ", hard"}`]);
    const picker = choice("test digit", [["", "choose"], ...options], "", (key) => {
      if (key !== "") showDigit(key);
    });
    function showDigit(key, opening = false) {
      // It is in MNIST's frame already; on the pad it is dark on white.
      const levels = bytes(digits[key].image);
      const canvas = image(levels.map((level) => 255 - level), 28, 28);
      pad.show({ canvas, levels, key, opening });
    }

    let newest = null; // an earlier file that takes longer must not come after it
    async function take(file) {
      if (!file) return;
      newest = file;
      try {
        const sheet = await (await reader)({ picture: await pixels(file) });
        const canvas = image(sheet.grey, sheet.width, sheet.height);
        if (file === newest) pad.show({ sheet, canvas });
      } catch ({ message }) {
        if (file !== newest) return;
        line.say(`The file ${message} The pad stays as it was.`, 0);
      }
    }
    document.addEventListener("paste", ({ clipboardData }) =>
      take([...clipboardData.files].find(({ type }) => type.startsWith("image/"))));

    /* However often the pad changes, it is drawn at most once a frame, and read when
       the worker has done with what it had before. */
    let waiting = false, busy = false, version = 0;
    function changed() {
      if (!waiting) requestAnimationFrame(update);
      waiting = true;
      version++;
      table.element.ariaBusy = "true";
    }
    async function update() {
      waiting = false;
      pad.draw();
      if (busy) return; // and look again afterwards
      busy = true;
      const seen = version;
      await answer();
      busy = false;
      if (waiting) return;
      if (version === seen) table.element.ariaBusy = "false";
      else changed();
    }

    /* What the models get: a sheet to be framed, or 28 x 28 grey levels; or nothing. */
    function question() {
      if (!pad.last) return null;
      const levels = framed.checked ? pad.last.levels : pad.averaged();
      if (!levels) return pad.sheet();
      return levels.some((level) => level > 0) ? { levels } : null;
    }
    async function answer() {
      const last = pad.last ?? {}; // another one may be there when the answer comes
      picker.children[1].value = last.key ?? "";
      const asked = question(), what = last.canvas ? "picture" : "drawing";
      let said = {}, text = BLANK;
      const wantMaps = maps.element.open;
      if (asked && !arrived) {
        line.say("The models are on their way: draw meanwhile.", 0);
      }
      try {
        if (asked) said = await (await reader)({ ...asked, wantMaps });
      } catch ({ message }) {
        text = `The ${what} ${message}`;
      }
      const { levels, probabilities } = said;
      context.drawImage(image(levels ?? new Uint8Array(784), 28, 28), 0, 0);
      preview.setAttribute("aria-label", words(levels));
      table.show(probabilities);
      maps.show(said.maps);
      if (probabilities) {
        text = Object.keys(accuracies).map((name, m) => {
          const most = Math.max(...probabilities[m]);
          return `${name} reads ${probabilities[m].indexOf(most)} (${percent(most)})`;
        }).join(", ");
        text = `${text[0].toUpperCase()}${text.slice(1)}.`;
        if (last.opening) {
          const { label } = digits[last.key];
          text = `A real ${label}, from MNIST's test digits. ${text} Draw your own.`;
        }
      }
      if (!pad.drawing) line.say(pad.pen + text, 400);
    }
    maps.element.addEventListener("toggle", changed);

    const buttons = [
      button("Undo", pad.undo),
      button("Clear", pad.clear),
      button("Upload", () => upload.click(), { "aria-label": "Upload a picture" }),
    ];
    const centring = make("label.lab-draw-switch", framed,
      make("span", "centre and scale as MNIST did"));
    const sees = make("div.lab-draw-sees",
      make("div", preview, make("small", "what the models see")),
      make("div", centring, picker));
    root.append(
      help,
      line,
      make("div.lab-draw",
        make("div.lab-draw-left",
          pad.element, make("div.lab-row", buttons, upload), sees),
        table.element),
      maps.element);
    showDigit(String(OPENING), true);
  });
}
