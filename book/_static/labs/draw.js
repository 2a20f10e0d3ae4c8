/* Draw a digit: three classifiers read it while it is drawn. */
"use strict";

{
  const { make, button, choice, status } = lab;
  const SETTLED = 400; // milliseconds without a change, after which the result is spoken
  const BLANK = "The pad is blank: draw a digit, and the three models read it while you draw.";
  const MODELS = ["softmax regression", "multilayer perceptron", "LeNet"];

  const percent = (share, places = 1) => `${(100 * share).toFixed(places)}\u00a0%`;

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
    const [{ paper, image, pixels, drawingPad }, examples] = await Promise.all([lab.load("pad"), lab.load("examples")]);
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
