/* Activation functions with their derivatives under the pointer, and a chain of layers
   through which a gradient comes back. */
"use strict";

{
  const { make, fixed, slider, clamp } = lab;
  const RANGE = 6; // a goes from -6 to 6
  const sigmoid = (a) => 1 / (1 + Math.exp(-a));
  const density = (a) => Math.exp(-a * a / 2) / Math.sqrt(2 * Math.PI);

  /* Φ: the share of a standard normal distribution that lies below a, by the series
     1/2 + density(a) (a + a³/3 + a⁵/(3·5) + …), whose terms all have one sign. */
  function normalShare(a) {
    if (Math.abs(a) > 9) return a > 0 ? 1 : 0; // as near as these numbers go
    let sum = 0, term = a;
    for (let n = 3; sum + term !== sum; n += 2) {
      sum += term;
      term *= a * a / n;
    }
    return 0.5 + density(a) * sum;
  }

  /* PyTorch's name, f and its derivative; at the corner of ReLU PyTorch's slope. */
  const FUNCTIONS = Object.fromEntries([
    ["sigmoid", "torch.sigmoid", sigmoid, (a) => sigmoid(a) * (1 - sigmoid(a))],
    ["tanh", "torch.tanh", Math.tanh, (a) => 1 - Math.tanh(a) ** 2],
    ["ReLU", "torch.relu", (a) => Math.max(0, a), (a) => (a > 0 ? 1 : 0)],
    ["leaky ReLU", "F.leaky_relu",
      (a) => Math.max(0.01 * a, a), (a) => (a > 0 ? 1 : 0.01)],
    ["SiLU", "F.silu",
      (a) => a * sigmoid(a), (a) => sigmoid(a) * (1 + a * (1 - sigmoid(a)))],
    ["GELU", "F.gelu",
      (a) => a * normalShare(a), (a) => normalShare(a) + a * density(a)],
  ].map(([name, python, f, slope]) => [name, { python, f, slope }]));

  /* A chain of layers with one unit each, h_k = f(w h_(k-1)), h_0 = x. On the way back
     each layer multiplies the gradient by w f'(a_k). Returns for each layer a_k, its
     factor, and the gradient of the last output with respect to the layer's input. */
  function chain({ f, slope }, weight, x, count) {
    const layers = [];
    for (let k = 0, h = x; k < count; k++) {
      const a = weight * h;
      h = f(a);
      layers.push({ a, factor: weight * slope(a) });
    }
    layers.reduceRight((gradient, layer) => {
      layer.gradient = gradient * layer.factor;
      return layer.gradient;
    }, 1);
    return layers;
  }

  /* 0.0123, and 1.2 × 10⁻⁵ where that would be a row of zeros. */
  function short(number) {
    const size = Math.abs(number);
    if (size === 0) return "0";
    if (size >= 0.001 && size < 999) return number.toPrecision(3).replace("-", "−");
    const [digits, power] = number.toExponential(1).replace("+", "").split("e");
    const raised = power.replace(/./g, (c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
    return `${digits.replace("-", "−")} × 10${raised}`;
  }

  /* A plot of one function; what it returns draws the curve, a point on it, and a
     tangent if a slope is given. `point(a)` is called with the a under the pointer. */
  function curve(name, low, point) {
    const left = 30, right = 292, top = 12, bottom = 178;
    const width = right - left, height = bottom - top;
    let drawn = null, now = 0;
    let before = 0; // a finger that came to scroll the page leaves a as it was
    const path = make("polyline",
      { fill: "none", stroke: "var(--lab-blue)", "stroke-width": 2.5 });
    const tangent = make("line",
      { stroke: "var(--lab-orange)", "stroke-width": 2, "stroke-dasharray": "6 4" });
    const foot = make("line", { stroke: "currentcolor", "stroke-dasharray": "2 3" });
    const dot = make("circle",
      { r: 5, fill: "var(--lab-orange)", stroke: "currentcolor" });
    // What leaves the frame is cut off by a nested drawing, which needs no name.
    const viewBox = `${left} ${top} ${width} ${height}`;
    const frame = { x: left, y: top, width, height, viewBox };
    const self = lab.plot({
      left, right, top, bottom, name: `a, and above it ${name}`,
      class: "lab-activations-plot",
      onpointermove: take,
      onpointerdown(event) { before = now; take(event); },
      onpointercancel: () => point(before),
    }, make("svg", frame, tangent, path), foot, dot);

    function take(event) {
      const box = self.drawing.getBoundingClientRect();
      const x = (event.clientX - box.left) * 300 / box.width;
      point(clamp(RANGE * (2 * (x - left) / width - 1), -RANGE, RANGE));
    }

    /* The frame and the curve: as high as it gets, and at least as high as 1. */
    function drawCurve(f) {
      const inputs = Array.from({ length: 601 }, (_, k) => RANGE * (k - 300) / 300);
      const high = Math.max(1.2, ...inputs.map(f)) + 0.2;
      const ticks = (from, to, step) => Array.from(
        { length: Math.floor((to - from) / step) + 1 },
        (_, k) => [from + k * step, fixed(from + k * step, 0)]);
      self.scale([-RANGE, RANGE], ticks(-RANGE, RANGE, 2),
        [low, high], ticks(Math.ceil(low), high, 1), true);
      path.setAttribute("points", self.points(inputs.map((a) => [a, f(a)])));
    }

    const set = (element, attributes) => Object.entries(attributes).forEach(
      ([key, value]) => element.setAttribute(key, value));
    self.draw = (f, a, slope, label) => {
      now = a;
      if (f !== drawn) drawCurve(drawn = f);
      const { x, y, drawing } = self;
      set(dot, { cx: x(a), cy: y(f(a)) });
      set(foot, { x1: x(a), x2: x(a), y1: y(0), y2: y(f(a)) });
      set(drawing, { "aria-label": label });
      if (slope === null) return;
      const [y1, y2] = [-2, 2].map((step) => y(f(a) + slope * step));
      set(tangent, { x1: x(a - 2), y1, x2: x(a + 2), y2 });
    };
    return self;
  }

  const LOWEST = -12, HIGHEST = 4; // powers of ten that the bars show
  const along = (power) => `${100 * (power - LOWEST) / (HIGHEST - LOWEST)}%`;

  function build(root) {
    let name = "sigmoid", a = 1, weight = 1, x = 1, count = 10;

    const control = slider("a", {
      min: -RANGE, max: RANGE, step: 0.1, value: a, show: (number) => fixed(number, 1),
    }, (number) => { a = number; drawCurves(); });
    const follow = (under) => lab.move(control.children[1], under);
    const left = curve("f(a)", -1.4, follow);
    const right = curve("f′(a)", -0.4, follow);
    const values = make("p.lab-activations-values");
    const rows = make("tbody");
    const status = lab.status();

    function drawCurves() {
      const { f, slope } = FUNCTIONS[name];
      const [at, value, steepness] = [fixed(a, 1), fixed(f(a), 4), fixed(slope(a), 4)];
      left.draw(f, a, slope(a),
        `The curve of ${name} with its tangent at a = ${at}, where f(a) = ${value}.`);
      right.draw(slope, a, null,
        `The derivative of ${name}; at a = ${at} it is ${steepness}.`);
      values.replaceChildren(`f(${at}) = `, make("strong", value),
        `, f′(${at}) = `, make("strong", steepness));
      status.say(`${name} at ${at}: f is ${value}, its derivative ${steepness}.`);
    }

    function drawChain() {
      const layers = chain(FUNCTIONS[name], weight, x, count);
      rows.replaceChildren(...layers.map(({ a, factor, gradient }, k) => {
        const power = Math.log10(Math.abs(gradient)); // -Infinity for 0: no bar
        const width = along(clamp(power, LOWEST, HIGHEST));
        return make("tr", make("th", { scope: "row" }, String(k + 1)),
          make("td", short(a)), make("td", short(factor)),
          make("td", short(gradient), make("span.lab-track", { "aria-hidden": "true" },
            make("span.lab-bar", { style: `width: ${width}` }))));
      }).reverse());
      const first = layers[0].gradient;
      status.say(first === 0
        ? `With ${count} layers of ${name}, no gradient reaches layer 1: `
          + "a factor on its way is 0."
        : `With ${count} layers of ${name}, a gradient of 1 at the output is `
          + `${short(first)} when it has come back through layer 1.`);
    }

    const tick = (power) => make("span", { style: `left: ${along(power)}` },
      power ? make("span", "10", make("sup", fixed(power, 0))) : "1");
    const scale = make("span.lab-activations-scale", { "aria-hidden": "true" },
      [LOWEST, 0, HIGHEST].map(tick));
    const tenths = (text, value, change) => slider(text,
      { min: -5, max: 5, step: 0.1, value, show: (n) => fixed(n, 1) },
      (n) => { change(n); drawChain(); });
    root.append(
      lab.row(
        lab.choice("Activation function f", Object.keys(FUNCTIONS), name,
          (key) => { name = key; drawCurves(); drawChain(); }),
        control),
      make("div.lab-plots", left.drawing, right.drawing),
      values,
      make("p", "Now layers of one unit each: layer ", make("i", "k"),
        " multiplies what comes in by the weight w, which gives its a, and applies f. "
        + "A gradient of 1 comes back from the output; "
        + "each layer multiplies it by w f′(a)."),
      lab.row(
        slider("Layers", { min: 1, max: 10, step: 1, value: count },
          (n) => { count = n; drawChain(); }),
        tenths("Weight w", weight, (n) => { weight = n; }),
        tenths("Input x", x, (n) => { x = n; })),
      make("table.lab-table.lab-activations-chain",
        lab.heading("layer", "a", "w f′(a)", ["gradient passed back", scale]), rows),
      status);
    drawCurves();
    drawChain();
    const number = (value) => `torch.tensor(${value}).double().requires_grad_()`;
    const back = () => Math.abs(chain(FUNCTIONS[name], weight, x, count)[0].gradient);
    return {
      goals: [
        ["a gradient that comes back through ten layers neither halved nor doubled",
          () => count === 10 && back() > 0.5 && back() < 2],
        ["a gradient that has grown more than a thousand times", () => back() > 1000],
        ["no gradient at all", () => back() === 0],
      ],
      code: () => `f = ${FUNCTIONS[name].python}
a = ${number(a)}
f(a).backward()
print(f"f(a) = {f(a):.4f}, f'(a) = {a.grad:.4f}")

h = x = ${number(x)}
for layer in range(${count}):
    h = f(${weight} * h)
h.backward()
print(f"gradient passed back: {x.grad:.3g}")`,
    };
  }

  lab.define("activations", Object.assign(build, { FUNCTIONS, chain }));
}
