/* LeNet, looked into: all that it computes from a digit, down to a single product, and
   which of its maps speak for one digit against another. */
"use strict";

lab.ask("weights"); // they take longest: not only when models.js is here to ask
lab.define("lenet", [
  "models", "pad", "examples", "windows", "pixels", "evidence",
], (models, pads, { digits }, windows, pixels, { evidence: compare, rivals }) => {
  const { make, button, fixed, percent, softmax, toInput } = lab;
  const { sum, largest, argmax, clamp } = lab;
  const { each, table } = windows;
  const { PAPER, tint, picture, digitMap, seen, touchable } = pixels;
  const HELP_ID = "lab-lenet-help", OPENING = "15"; // of the examples: the pad's hard 5
  const THUMB = 24, ZOOM = 216; // pixels of a map: multiples of 24, 12, 8 and 4 cells
  // The digit, then four times what a layer of the model gives: `output` in its list.
  const STAGES = [
    { name: "Digit", text: "28×28" },
    { name: "First convolution", text: "20×24×24", output: 0, columns: 3 },
    { name: "First pooling", text: "and ReLU: 20×12×12", output: 2, columns: 3 },
    { name: "Second convolution", text: "50×8×8", output: 3, columns: 5 },
    { name: "Second pooling", text: "and ReLU: 50×4×4", output: 5, columns: 5 },
  ];
  const HELP = "Draw or choose a digit. Press any map, then any cell of it, or use the "
    + "arrow keys: you see what it is made of. Blue is below 0, white 0, red above.";

  const within = (n, count) => clamp(n | 0, 0, count - 1);
  const strongest = (numbers) => argmax(numbers.map(Math.abs));
  const [two, four] = [2, 4].map((digits) => (number) => fixed(number, digits));
  const pooling = (layer) => layer % 2 === 0;

  // ---- arithmetic
  /* The digit and the four stages, as { maps, side, values }, and the ten scores. */
  function stagesOf(model, input) {
    const outputs = model.outputs(input), digit = digitMap(input);
    return [...STAGES.map(({ output }) => outputs[output] ?? digit), outputs.at(-1)];
  }

  /* A square of a map's cells, row after row. */
  const cut = ({ side, values }, map, top, left, size) =>
    Array.from({ length: size ** 2 }, (_, n) => values[
      (map * side + top + Math.floor(n / size)) * side + left + n % size]);

  /* How one cell comes about: of a pooling, what it saw and which of it won; of a
     convolution, window, kernel and products for each map before, and their sums. */
  function unit(model, stages, { layer, map, row, column }) {
    const before = stages[layer - 1];
    if (pooling(layer)) {
      const window = cut(before, map, 2 * row, 2 * column, 2), winner = argmax(window);
      return { window, winner, value: Math.max(0, window[winner]) };
    }
    const { weight, bias } = model.layers[STAGES[layer].output];
    const slices = Array.from({ length: before.maps }, (_, d) => {
      const at = 25 * (map * before.maps + d), kernel = [...weight.slice(at, at + 25)];
      const window = cut(before, d, row, column, 5);
      const products = window.map((x, n) => x * kernel[n]);
      return { window, kernel, products, sum: sum(products) };
    });
    const total = sum(slices.map((slice) => slice.sum));
    return { slices, sum: total, bias: bias[map], value: total + bias[map] };
  }

  /* The cells from which a cell is computed, on each stage up to its own: a square. */
  function fields({ layer, row, column }) {
    const found = [];
    for (let size = 1; layer >= 0; layer--) {
      found[layer] = { row, column, size };
      if (pooling(layer)) [row, column, size] = [2 * row, 2 * column, 2 * size];
      else size += 4;
    }
    return found;
  }

  const cellsOf = (cells, map) => cells.subarray(16 * map, 16 * map + 16);
  /* What each cell of the last maps, so each map, adds to the score of a against b. */
  function evidence(model, stages, blank, a, b) {
    const { added, ...found } = compare(
      model.layers.at(-1), stages[4].values, blank[4].values, a, b);
    const shares = Array.from({ length: stages[4].maps }, (_, map) =>
      sum(cellsOf(added, map)));
    const order = [...shares.keys()].sort((m, n) => shares[n] - shares[m]);
    return { ...found, cells: added, shares, order };
  }

  async function build(root) {
    const model = models.model("LeNet");
    await lab.pause();
    const blank = stagesOf(model, toInput(pads.BLANK));
    const plans = STAGES.map(({ columns }) => ({ size: THUMB, columns, pitch: 26 }));
    let digit, stages; // in grey levels, and all that is computed from it
    let layer = 4, over = null, circled = null; // what is open; what the mouse is over
    const trail = [], places = STAGES.map(() => ({ map: 0, row: 0, column: 0 }));
    let a, b, found; // the two digits that are compared, and the evidence
    const pair = rivals(() => {
      weigh();
      draw();
      line.say(difference.textContent);
    });
    const here = () => ({ layer, ...(over ?? places[layer]) });
    // From the whole to a number, and back
    function open(stage, place) {
      [layer, over, places[stage]] = [stage, null, place];
      draw();
      line.say(title.textContent);
    }
    const inside = ({ maps, side }, { map, row, column }) => ({
      map: within(map, maps), row: within(row, side), column: within(column, side),
    });
    function step(down, right) {
      const { map, row, column } = places[layer];
      const place = { map, row: row + down, column: column + right };
      open(layer, inside(stages[layer], place));
    }
    /* The strongest cell of the map with this rank in the evidence. */
    function ranked(rank) {
      const map = found.order[within(rank, 50)];
      const cell = strongest(cellsOf(found.cells, map));
      return { map, row: cell >> 2, column: cell % 4 };
    }
    const pictures = STAGES.map(({ name, text }, n) => (n ? picture(touchable(
      `${name}, ${text}: arrow keys choose a map`,
      (event) => open(n, pictures[n].hit(event)),
      (down, right) => {
        const map = places[n].map + plans[n].columns * down + right;
        open(n, { ...places[n], map: within(map, stages[n].maps) });
      })) : seen("The digit as LeNet gets it")));
    const inZoom = (event) => ({ ...zoom.hit(event), map: places[layer].map });
    function hover(event) { // with a mouse: a finger may be about to scroll
      if (event.pointerType !== "mouse") return;
      over = event.type === "pointermove" ? inZoom(event) : null;
      draw();
    }
    const zoom = picture(touchable("The open map: arrow keys choose a cell",
      (event) => open(layer, inZoom(event)), step,
      { onpointermove: hover, onpointerleave: hover }));
    const [small, below] = [0, 0].map(() => seen("What the cell sees of the digit"));
    const chart = make("div.lab-lenet-chart", touchable(
      "Evidence of the 50 maps: arrow keys choose one",
      ({ target }) => target !== chart
        && open(4, ranked([...chart.children].indexOf(target))),
      (...way) => open(4, ranked(found.order.indexOf(places[4].map) + sum(way)))));
    const descend = button("Open the circled number", () =>
      circled && trail.push([layer, places[layer]]) && open(layer - 1, circled));
    const back = button("Back", () => trail.length && open(...trail.pop()));
    // What is shown
    const [title, equation, difference, share] = [0, 0, 0, 0].map(() => make("p"));
    const answer = make("p.lab-lenet-answer"), line = lab.status("lab-spoken");
    const [numbers, cells] = [0, 0].map(() => make("div.lab-lenet-numbers"));
    const products = make("div"), scores = make("tbody");

    /* A table of numbers, coloured like the maps, on a scale of its own. */
    function coloured(caption, values, columns, ring, options) {
      const rows = Array.from({ length: values.length / columns }, (_, r) =>
        [...values.slice(columns * r, columns * (r + 1))]);
      const made = table(caption, rows, { chars: 5, decimals: 2, ...options });
      each(made.cells, (cell, r, c) => {
        const share = rows[r][c] / (largest(values) || 1);
        cell.style.background = `rgb(${tint(0.6 * share)})`; // black is read on it
        cell.classList.toggle("lab-winner", columns * r + c === ring);
      });
      return Object.assign(made.element, { look: made.look });
    }

    /* A convolution's products, with one map before at a time. */
    function showConvolution({ slices, sum: total, bias }, { map, row, column }) {
      const sums = slices.map((slice) => slice.sum), deep = layer > 1;
      const all = deep && coloured("partial sums, maps 0 to 19", sums, 5, null,
        { choose: (r, c) => pick(5 * r + c) });
      function pick(d) {
        const { window, kernel, products: parts } = slices[d], at = strongest(parts);
        circled = deep && { map: d, row: row + (at / 5 | 0), column: column + at % 5 };
        products.replaceChildren(...[
          [`window on ${deep ? `map ${d}` : "the digit"}`, window, 5, deep && at],
          [`kernel ${map}${deep ? `, for map ${d}` : ""}`, kernel, 5],
          [`products; their sum: ${four(sums[d])}`, parts, 5],
        ].map((given) => coloured(...given)));
        if (deep) all.look(d / 5 | 0, d % 5, 1);
        drawMaps();
      }
      numbers.replaceChildren(products, all || "");
      pick(strongest(sums));
      return `${four(total)} (sum of all ${deep ? "20 × " : ""}25 products) `
        + `${bias < 0 ? "−" : "+"} ${four(Math.abs(bias))} (bias)`;
    }

    function showPooling({ window, winner }, { map, row, column }) {
      circled = { map, row: 2 * row + (winner >> 1), column: 2 * column + winner % 2 };
      numbers.replaceChildren(coloured(`window on map ${map}`, window, 2, winner));
      drawMaps();
      return `The largest is circled. ReLU: max(0, ${four(window[winner])})`;
    }

    function drawMaps() {
      const at = here(), squares = fields(at);
      pictures.forEach(({ paint, outline }, n) => {
        if (n) paint(stages[n], plans[n]);
        else paint(digit, { size: 112 }, 255, PAPER);
        // A pooling takes each map for itself, a convolution all of them.
        const alone = n === layer || (pooling(layer) && n === layer - 1);
        const maps = alone ? [at.map] : [...Array(stages[n].maps).keys()];
        if (n <= layer) maps.forEach((map) =>
          outline({ ...squares[n], map }, ...(n ? [1, "black"] : [])));
        if (n === layer) outline({ map: at.map, size: stages[n].side });
        if (n === layer - 1 && circled) outline({ ...circled, size: 1 });
      });
      const { side, values } = stages[layer], own = values.subarray(side ** 2 * at.map);
      zoom.paint({ maps: 1, side, values: own }, { size: ZOOM }, largest(values));
      zoom.outline({ ...squares[layer], map: 0 }, 3, "black");
      [[small, at], [below, { layer: 4, ...places[4] }]].forEach(([shown, cell]) => {
        shown.paint(digit, { size: 84 }, 255, PAPER);
        shown.outline(fields(cell)[0]);
      });
    }

    /* The evidence: bars for all maps, from most for a to most for b; and one map. */
    function drawEvidence(z) {
      const { order, shares } = found, { map, row, column } = places[4];
      const at = 16 * map + 4 * row + column, top = Math.max(0, ...shares);
      const part = (value) => `${100 * value / (top - Math.min(0, ...shares) || 1)}%`;
      chart.style.setProperty("--zero", part(top));
      chart.replaceChildren(...order.map((m) => make("span", {
        class: m === map && "lab-lenet-chosen",
        style: `--top: ${part(top - Math.max(0, shares[m]))}; --high: `
          + `${part(Math.abs(shares[m]))}; --tint: rgb(${tint(Math.sign(shares[m]))})`,
      })));
      difference.textContent = `Score of ${a} − score of ${b} = ${two(z[a] - z[b])}. `
        + `Without any ink it would be ${two(found.page)}; the digit adds `
        + `${two(sum(shares))}, through the 50 maps of the second pooling. `
        + `Red bars speak for ${a}, blue ones for ${b}; press one to open its map.`;
      const own = coloured(`map ${map}, for ${a} against ${b}`,
        cellsOf(found.cells, map), 4);
      own.look(row, column, 1);
      share.textContent = `Map ${map} adds ${two(shares[map])}; of that, the cell in `
        + `the frame (${four(stages[4].values[at])} − ${four(blank[4].values[at])} on `
        + `a blank page) · ${four(found.weights[at])} (weight to ${a} − that to ${b}) `
        + `= ${four(found.cells[at])}. It sees what is framed on the digit.`;
      cells.replaceChildren(own, below.canvas, share);
    }

    /* Which two digits are compared, and what speaks for the one or the other. */
    function weigh() {
      [a, b] = pair.of(stages[5].values);
      found = evidence(model, stages, blank, a, b);
    }

    function draw() {
      const at = here(), z = stages[5].values, y = softmax(z);
      const best = [...z.keys()].sort((m, n) => z[n] - z[m]);
      scores.replaceChildren(...[...z].map((score, n) => make("tr",
        { class: n === best[0] && "lab-lenet-best" },
        make("th", { scope: "row" }, String(n)), make("td", fixed(score, 1)),
        make("td.lab-lenet-share", { style: `--share: ${100 * y[n]}%` },
          percent(y[n])))));
      const value = four(cut(stages[layer], at.map, at.row, at.column, 1)[0]);
      title.textContent = `${STAGES[layer].name}, map ${at.map}, row ${at.row}, `
        + `column ${at.column}: ${value}`;
      const explain = pooling(layer) ? showPooling : showConvolution;
      equation.textContent = `${explain(unit(model, stages, at), at)} = ${value}`;
      descend.setAttribute("aria-disabled", String(!circled));
      back.setAttribute("aria-disabled", String(!trail.length));
      drawEvidence(z);
      return best.map((n) => `${n} (${percent(y[n])})`);
    }

    function compute(given) {
      digit = digitMap(given);
      [stages, over] = [stagesOf(model, toInput(given)), null];
      weigh();
    }
    function show(text = "") {
      const [first, second] = draw();
      answer.textContent = `${text}LeNet reads ${first}, then ${second}.`;
    }
    function take(levels, fault) {
      if (pad.last?.opening) return; // it has been read
      const text = fault || (pad.question() ? "" : "The pad is blank.");
      compute(levels ?? pads.BLANK);
      show(text && `${text} `);
      line.say(pad.pen + answer.textContent, 400);
    }

    const ten = make("table.lab-lenet-scores",
      make("caption", make("strong", "Ten scores"), " and probabilities"), scores);
    const pad = await pads.readingPad({ described: HELP_ID, busy: ten, take });
    const ways = Object.entries(lab.WAYS).map(([name, way], n) =>
      button("←↑↓→"[n], () => step(...way), { "aria-label": `${name}, by a cell` }));
    const figures = STAGES.map(({ name, text }, n) => make("figure",
      make("figcaption", make("strong", name), ` ${text}`), pictures[n].canvas));
    root.append(
      make("div.lab-lenet-top", pad.element, lab.row(pad.picker, pad.buttons),
        make("div", answer, make("p", { id: HELP_ID }, HELP))),
      make("div.lab-lenet-flow", figures,
        make("div.lab-lenet-open", title,
          make("div.lab-lenet-zoom", zoom.canvas, small.canvas, lab.row(ways)),
          make("div", numbers, equation, lab.row(descend, back))), ten),
      make("div.lab-lenet-why", pair.element, difference, chart, cells),
      line);
    await lab.pause();
    compute(lab.bytes(digits[OPENING].image));
    places[4] = ranked(0);
    await lab.pause();
    show();
    pad.showDigit(OPENING, true);
    const drawn = pad.state(() => (pad.question() ? digit.values : []));
    return {
      goals: [
        ["a pooling unit that ReLU sets to 0", () => pooling(layer)
          && unit(model, stages, here()).value === 0],
        ["the map that speaks most against the answer, opened",
          () => layer === 4 && found.order.at(-1) === places[4].map],
        ["a drawing that LeNet is less than 90 % sure of", () => pad.question()
          && Math.max(...softmax(stages[5].values)) < 0.9],
      ],
      tour: [
        ["Choose a test digit, or clear the pad and draw one.", () => digit],
        ["Press a map of the first convolution.", () => layer === 1],
        ["Move to another of its cells, in the large map: you see 25 products.",
          () => layer === 1 && places[1]],
        ["Press a map of the second convolution: its cells look at all 20 maps.",
          () => layer === 3],
        ["Press “Open the circled number”: it contributes most to that sum. “Back” "
          + "takes you back.", () => trail.length > 0],
        ["Below, press a bar: how much one map speaks for the answer.",
          () => layer === 4 && places[4]],
      ],
      get: () => ({ digit: drawn.get(), layer, places }),
      code() {
        const { slices, window, bias } = unit(model, stages, here());
        const all = (name) => lab.tensor(
          slices.flatMap((slice) => slice[name]), 1, slices.length, 5, 5);
        const value = slices
          ? `F.conv2d(${all("window")},\n  ${all("kernel")}, ${lab.tensor([bias])})`
          : `F.relu(F.max_pool2d(${lab.tensor(window, 1, 2, 2)}, 2))`;
        return `value = ${value}\nprint(f"{value.item():.4f}")`;
      },
      set({ digit: levels, layer: asked, places: told }) {
        drawn.set(levels);
        places.forEach((at, n) => { places[n] = inside(stages[n], told?.[n] ?? at); });
        layer = within(asked, STAGES.length) || layer;
        draw();
      },
    };
  }

  return Object.assign(build, { stagesOf, unit, fields, evidence });
});
