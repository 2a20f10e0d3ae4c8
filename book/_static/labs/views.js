/* What one sees of a network while it learns: its curves, its first weights, what its
   layers do, its answers, each what stands in the page, `figure`, and what brings it
   up to date; and the program that makes the same. */
"use strict";

lab.define("views", ["pixels"], ({ PAPER, tint, palette, paint }) => {
  const { make, percent, largest, argmax } = lab;
  /* Colours from what speaks against, by 0, to what speaks for. */
  const HUES = {
    colours: tint,
    greys: (share) => Array(3).fill(136 - share * (share < 0 ? 119 : 136)),
  };
  const PALETTES = { colours: palette(HUES.colours), greys: palette(HUES.greys) };
  const DASHES = { A: "2 3", B: "9 3", C: "9 3 2 3" }; // of runs that are kept
  const REGIONS = ["top", "middle", "bottom"].flatMap((row) =>
    ["left", "centre", "right"].map((column) => `${row} ${column}`));

  const tile = (attributes) => make("canvas", { width: 28, height: 28, ...attributes });

  /* Draws only if a value has changed: what is written anew is laid out anew, too. */
  function changes(draw) {
    let before = [];
    return (...values) => {
      if (values.some((value, k) => value !== before[k])) draw(...values);
      before = values;
    };
  }

  /* A small plot of lines over epochs, of this run and of those kept. `lines` has
     [name, colour, dashes, which value of a point]; of a kept run the last is drawn. */
  function curves(title, lines, ticksOf) {
    const strokes = lines.map(([, colour, dashes]) => ({ fill: "none",
      stroke: `var(--lab-${colour})`, "stroke-width": 2.5, "stroke-dasharray": dashes,
    }));
    const kept = make("g", { stroke: "currentcolor", fill: "none" });
    const paths = strokes.map((stroke) => make("polyline", stroke));
    const legend = lines.map(([name], k) =>
      make("g", { transform: `translate(${46 + 128 * k} 12)` },
        make("line", { x2: 20, ...strokes[k] }), make("text", { x: 24, y: 4 }, name)));
    const box = { left: 46, right: 286, top: 26, bottom: 142, name: "epochs" };
    // The first costs may lie above the frame: what is outside is cut off.
    const inside = make("svg", { x: box.left, y: box.top, width: 242, height: 118,
      viewBox: `${box.left} ${box.top} 242 118` }, kept, ...paths);
    const { drawing, scale, points } = lab.plot(box, inside, ...legend);
    function draw(measured, label, runs) {
      const last = Math.max(...[measured, ...runs.map((run) => run.points)].map(
        (all) => all.at(-1).time));
      const span = 5 * Math.max(1, Math.ceil(last / 5));
      const ticks = ticksOf([...measured, ...runs.flatMap((run) => run.points)]);
      scale([0, span], [[0, "0"], [span, String(span)]], [0, ticks.at(-1)[0]], ticks);
      const path = (all, name) => points(all.filter((point) => point[name] !== null)
        .map((point) => [point.time, point[name]]));
      lines.forEach(([, , , name], k) =>
        paths[k].setAttribute("points", path(measured, name)));
      kept.replaceChildren(...runs.flatMap((run) => {
        const line = path(run.points, lines.at(-1)[3]);
        const [x, y] = line.split(" ").at(-1).split(",").map(Number);
        const at = { x: Math.min(x + 2, 278), y: Math.max(y - 3, 36), stroke: "none" };
        return [make("text", at, run.name),
          make("polyline", { points: line, "stroke-dasharray": DASHES[run.name] })];
      }));
      drawing.setAttribute("aria-label", `${title}. ${label}`);
    }
    return { figure: drawing, draw };
  }

  /* A round number above all costs, in steps. After some epochs those of the first no
     longer count: it is the end that one wants to see. */
  function costTicks(points) {
    const late = points.some(({ time }) => time >= 4);
    const shown = points.filter(({ time }) => !late || time >= 1);
    const costs = shown.flatMap(({ cost, training }) => [cost, training]);
    const highest = Math.max(late ? 0.5 : 2.5, ...costs);
    const units = [0.1, 1, 10, 100, 1000].flatMap((ten) => [ten, 2 * ten, 5 * ten]);
    const unit = units.find((n) => 6 * n >= highest) ?? highest / 5;
    const text = (cost) =>
      (cost < 1e6 ? String(Number(cost.toFixed(1))) : cost.toExponential(1));
    return Array.from({ length: Math.ceil(highest / unit) + 1 },
      (_, k) => [k * unit, text(k * unit)]);
  }

  /* What a template asks for, in nine regions: a picture's worth in a sentence. */
  function words(digit, weight) {
    const sums = new Float64Array(9);
    for (let row = 0; row < 20; row++) {
      for (let column = 0; column < 20; column++) {
        // The outermost four pixels are paper in nearly every digit.
        sums[3 * Math.floor(3 * row / 20) + Math.floor(3 * column / 20)] +=
          weight(28 * (row + 4) + column + 4);
      }
    }
    const best = REGIONS[argmax(sums)];
    const worst = REGIONS[sums.indexOf(Math.min(...sums))];
    return best === worst ? `Template of ${digit}: all weights are 0.`
      : `Template of ${digit}: ink at the ${best} speaks most for it, `
        + `ink at the ${worst} most against it.`;
  }

  /* The weights of the first layer, a picture for each unit; all share one scale. */
  function firstWeights() {
    const grid = make("div"), scale = make("p.lab-learn-scale");
    const TIME = 4; // milliseconds of a frame
    let tiles = [], next = 0;

    function lay(units, named) {
      tiles = Array.from({ length: units }, () => tile({ role: named ? "img" : null }));
      const many = { role: "img" };
      grid.replaceChildren(make("div.lab-tiles", named ? {} : many, tiles.map(
        (canvas, k) => make("div", canvas,
          named ? make("span", { "aria-hidden": "true" }, String(k)) : ""))));
      grid.firstChild.classList.toggle("lab-tiles-many", units > 10);
    }

    /* The weight from pixel i to unit k is weights[units * i + k]. In a frame that has
       no time for all units, the others come in the next. */
    function draw(weights, named, colours, dead, moving) {
      const units = weights.length / 784, limit = largest(weights);
      const end = performance.now() + TIME, own = new Float32Array(784);
      if (tiles.length !== units || named !== tiles[0].hasAttribute("role")) {
        lay(units, named);
      }
      for (let n = 0; n < units && !(moving && performance.now() > end); n++) {
        const k = next = (next + 1) % units;
        for (let i = 0; i < 784; i++) own[i] = weights[units * i + k];
        paint(tiles[k], own, limit, PALETTES[colours])
          .classList.toggle("lab-learn-dead", dead.includes(k));
      }
      if (!named) {
        grid.firstChild.setAttribute("aria-label", `The weights of ${units} units`
          + (dead.length ? `; dead: ${dead.join(", ")}` : ""));
      }
      label(limit < 10 && limit > 0 ? limit.toPrecision(2) : limit.toFixed(0), colours);
    }
    const label = changes((size, colours) => {
      const ends = [-1, 0, 1].map((share) => `rgb(${HUES[colours](share)})`);
      const style = `background: linear-gradient(90deg, ${ends})`;
      scale.replaceChildren(
        make("span", `against: ${Number(size) > 0 ? "−" : ""}${size}`),
        make("span.lab-learn-bar", { style }),
        make("span", `for: ${Number(size) > 0 ? "+" : ""}${size}`));
    });

    return {
      figure: make("div", grid, scale),
      draw,
      describe: (weights, named) => named && tiles.forEach((canvas, digit) =>
        canvas.setAttribute("aria-label",
          words(digit, (i) => weights[10 * i + digit]))),
    };
  }

  /* A histogram of shares, from the first of the ticks to the last. */
  function bars(name, shares, ticks, label) {
    const ends = [ticks[0][0], ticks.at(-1)[0]], most = Math.max(...shares) || 1;
    const step = (ends[1] - ends[0]) / shares.length;
    const shape = make("polyline", { fill: "var(--lab-blue)" });
    const box = { left: 14, right: 286, top: 8, bottom: 58, name, "aria-label": label };
    const { drawing, scale, points } = lab.plot(box, shape);
    scale(ends, ticks, [0, 1], [[0, ""]]);
    const corners = Array.from(shares).flatMap((share, k) => [k, k + 1].map((at) =>
      [ends[0] + step * at, share / most]));
    shape.setAttribute("points", points([[ends[0], 0], ...corners, [ends[1], 0]]));
    return drawing;
  }

  const short = (number) => String(Number(number.toPrecision(2))).replace("-", "−");
  const DECADES = [[-8, "10⁻⁸"], [-6, "10⁻⁶"], [-4, "10⁻⁴"], [-2, "0.01"], [0, "1"],
    [1, ""]];

  /* For each layer: what its units put out, and the gradient of its weights. */
  function layers() {
    const figure = make("div");

    function draw(all, activation) {
      figure.replaceChildren(...all.flatMap((layer, k) => {
        const { units, low, high, outputs, gradient } = layer;
        const last = k === all.length - 1;
        const name = last ? "Output layer" : `Hidden layer ${k + 1}`;
        const middle = low < 0 && high > 0 ? [[0, "0"]] : [];
        const fires = outputs.some(Boolean), slopes = gradient.some(Boolean);
        const ticks = [[low, short(low)], ...middle, [high, fires ? short(high) : ""]];
        const text = make("p", last
          ? "The gradient of a weight is (probability − truth) × its input."
          : told(layer, activation));
        const sizes = bars("gradients of the weights, where not 0", gradient, DECADES,
          `${name}: ${slopes ? "sizes of the gradient, most of them about 10 to the "
            + `power of ${Math.round(argmax(gradient) / 4 - 8)}` : "no gradient but 0"}`);
        const heights = last ? text : bars("outputs other than 0", outputs, ticks,
          `${name}: ${fires ? `outputs from ${short(low)} to ${short(high)}`
            : "no output but 0"}`);
        return [
          make("p.lab-learn-head", `${name}: ${units} ${last ? "scores" : "units"}`),
          make("div.lab-plots", heights, sizes), last ? "" : text];
      }));
    }

    function told({ units, flat, dead: { length: dead }, digits }, activation) {
      if (activation === "Identity") return "No function, so none of it is flat.";
      const flatly = activation === "ReLU" ? "0" : "where the function is flat";
      const share = flat < 1 && flat > 0.99 ? "More than 99\u00a0%" : percent(flat, 0);
      const all = `all of the ${digits} training digits checked`;
      return `${share} of the outputs are ${flatly}. ` + (dead
        ? `${dead} of ${units} units ${dead === 1 ? "is" : "are"} dead: ${flatly} for `
          + `${all}. ${activation === "ReLU" ? "No" : "Hardly any"} gradient from these `
          + "digits comes through them."
        : `No unit is dead, that is, ${flatly} for ${all}.`);
    }

    return { figure, draw };
  }

  /* Digits, with what the network says of each. */
  function answers() {
    const figure = make("div.lab-tiles");
    let tiles = []; // they stay, and say something else
    function answer() {
      const [canvas, read, sure] = [tile({ role: "img" }), make("span"), make("span")];
      figure.append(make("div", canvas, read, sure));
      return [
        changes((...levels) => paint(canvas, levels, 255, PAPER)),
        changes((label, digit) => {
          canvas.setAttribute("aria-label", `A ${label}, read as ${digit}`);
          read.textContent = `${digit} ${label === digit ? "✓" : "✗"}`;
        }),
        changes((share) => { sure.textContent = share; })];
    }
    function draw(all) {
      if (tiles.length !== all.length) {
        figure.replaceChildren();
        tiles = all.map(answer);
      }
      all.forEach(({ levels, label, digit, share }, n) => {
        const [show, tell, weigh] = tiles[n];
        show(...levels);
        tell(label, digit);
        weigh(percent(share, 0));
      });
    }
    return { figure, draw };
  }

  /* The same in PyTorch, from other random numbers. */
  function program({ hidden, activation, start, count }, options, epoch) {
    const sizes = [784, ...hidden, 10];
    const layers = sizes.slice(1).map((outputs, k) =>
      `torch.nn.Linear(${sizes[k]}, ${outputs})`).join(`, torch.nn.${activation}(), `);
    const fill = { he: "kaiming_normal_(layer.weight, nonlinearity='relu')",
      small: "normal_(layer.weight, std=0.01)", large: "normal_(layer.weight)",
      zero: "zeros_(layer.weight)" }[start];
    const { rate, batch, momentum, decay } = options;
    const shuffled = `torch.randperm(${count}).split(${batch})`;
    const answers = "model(to_input(mnist.test.images)).argmax(1).numpy()";
    return `from mnist_lesson import load_mnist, to_input
mnist = load_mnist(source="sample", validation=0)
x, labels = to_input(mnist.train.images), torch.tensor(mnist.train.labels)
model = torch.nn.Sequential(torch.nn.Flatten(), ${layers})
for layer in model[1::2]:
    torch.nn.init.zeros_(layer.bias), torch.nn.init.${fill}
sgd = torch.optim.SGD(model.parameters(), ${rate}, ${momentum}, weight_decay=${decay})
for rows in [r for _ in range(${epoch}) for r in ${shuffled}]:
    sgd.zero_grad()
    F.cross_entropy(model(x[rows]), labels[rows]).backward()
    sgd.step()
print((${answers} == mnist.test.labels).mean())`;
  }

  return { curves, costTicks, firstWeights, layers, answers, program };
});
