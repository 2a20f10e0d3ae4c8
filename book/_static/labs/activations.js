/* Activation functions with their derivatives under the pointer, and a chain of layers
   through which a gradient comes back. */
"use strict";

{
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

  /* f and its derivative; at the corner of ReLU the slope is PyTorch's. */
  const FUNCTIONS = {
    sigmoid: { f: sigmoid, slope: (a) => sigmoid(a) * (1 - sigmoid(a)) },
    tanh: { f: Math.tanh, slope: (a) => 1 - Math.tanh(a) ** 2 },
    ReLU: { f: (a) => Math.max(0, a), slope: (a) => (a > 0 ? 1 : 0) },
    "leaky ReLU": { f: (a) => Math.max(0.01 * a, a), slope: (a) => (a > 0 ? 1 : 0.01) },
    SiLU: { f: (a) => a * sigmoid(a), slope: (a) => sigmoid(a) * (1 + a * (1 - sigmoid(a))) },
    GELU: { f: (a) => a * normalShare(a), slope: (a) => normalShare(a) + a * density(a) },
  };

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
    let gradient = 1;
    for (const layer of [...layers].reverse()) layer.gradient = gradient *= layer.factor;
    return layers;
  }

  const minus = (text) => text.replace("-", "−");
  const fixed = (number, digits = 4) => minus(number.toFixed(digits));

  /* 0.0123, and 1.2 × 10⁻⁵ where that would be a row of zeros. */
  function short(number) {
    const size = Math.abs(number);
    if (size === 0) return "0";
    if (size >= 0.001 && size < 999) return minus(number.toPrecision(3));
    const [digits, power] = number.toExponential(1).split("e");
    return `${minus(digits)} × 10${[...power.replace("+", "")].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("")}`;
  }

  /* A plot of one function; what it returns draws the curve, a point on it, and a
     tangent if a slope is given. `point(a)` is called with the a under the pointer. */
  function plot(name, low, point) {
    const [left, right, top, bottom] = [30, 292, 12, 178];
    let high = 0, drawn = null;
    let now = 0, before = 0; // a finger that came to scroll the page leaves a as it was
    const x = (a) => left + (right - left) * (a + RANGE) / (2 * RANGE);
    const y = (value) => bottom - (bottom - top) * (value - low) / (high - low);
    const rule = (value, ends) => lab.make("line", { ...ends, stroke: "currentcolor", "stroke-opacity": value ? 0.2 : 0.7 });
    const curve = lab.make("polyline", { fill: "none", stroke: "var(--lab-blue)", "stroke-width": 2.5 });
    const tangent = lab.make("line", { stroke: "var(--lab-orange)", "stroke-width": 2, "stroke-dasharray": "6 4" });
    const foot = lab.make("line", { stroke: "currentcolor", "stroke-dasharray": "2 3" });
    const dot = lab.make("circle", { r: 5, fill: "var(--lab-orange)", stroke: "currentcolor" });
    const grid = lab.make("g");
    const drawing = lab.make("svg", {
      viewBox: "0 0 300 212", role: "img", "font-size": 12, class: "lab-activations-plot",
      onpointermove: take, onpointerdown: (event) => { before = now; take(event); },
      onpointercancel: () => point(before),
    }, grid,
    // What leaves the frame is cut off by a nested drawing, which needs no name to point at.
    lab.make("svg", { x: left, y: top, width: right - left, height: bottom - top, viewBox: `${left} ${top} ${right - left} ${bottom - top}` },
      tangent, curve),
    foot, dot,
    lab.make("text", { x: (left + right) / 2, y: 208, "text-anchor": "middle" }, `a, and above it ${name}`));

    function take(event) {
      const box = drawing.getBoundingClientRect();
      const a = ((event.clientX - box.left) * 300 / box.width - left) / (right - left) * 2 * RANGE - RANGE;
      point(Math.max(-RANGE, Math.min(RANGE, a)));
    }

    /* The frame and the curve: as high as it gets, and at least as high as 1. */
    function drawCurve(f) {
      const inputs = Array.from({ length: 601 }, (_, k) => RANGE * (k - 300) / 300);
      high = Math.max(1.2, ...inputs.map(f)) + 0.2;
      curve.setAttribute("points", inputs.map((a) => `${x(a).toFixed(1)},${y(f(a)).toFixed(1)}`).join(" "));
      grid.replaceChildren();
      for (let value = Math.ceil(low); value <= high; value++) {
        grid.append(rule(value, { x1: left, x2: right, y1: y(value), y2: y(value) }),
          lab.make("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, fixed(value, 0)));
      }
      for (let a = -RANGE; a <= RANGE; a += 2) {
        grid.append(rule(a, { x1: x(a), x2: x(a), y1: top, y2: bottom }),
          lab.make("text", { x: x(a), y: bottom + 15, "text-anchor": "middle" }, fixed(a, 0)));
      }
    }

    return {
      drawing,
      draw(f, a, slope, label) {
        now = a;
        if (f !== drawn) drawCurve(drawn = f);
        const set = (element, values) => Object.entries(values).forEach(([key, value]) => element.setAttribute(key, value));
        set(dot, { cx: x(a), cy: y(f(a)) });
        set(foot, { x1: x(a), x2: x(a), y1: y(0), y2: y(f(a)) });
        if (slope !== null) {
          const at = (b) => y(f(a) + slope * (b - a));
          set(tangent, { x1: x(a - 2), y1: at(a - 2), x2: x(a + 2), y2: at(a + 2) });
        }
        drawing.setAttribute("aria-label", label);
      },
    };
  }

  const LOWEST = -12, HIGHEST = 4; // powers of ten that the bars show

  function build(root) {
    let name = "sigmoid", a = 1, weight = 1, x = 1, count = 10, timer = 0;

    const control = lab.slider("a", {
      min: -RANGE, max: RANGE, step: 0.1, value: a, show: (number) => fixed(number, 1),
    }, (number) => { a = number; drawCurves(); });
    const slide = control.querySelector("input");
    const follow = (under) => {
      slide.value = under;
      slide.dispatchEvent(new Event("input"));
    };
    const left = plot("f(a)", -1.4, follow), right = plot("f′(a)", -0.4, follow);
    const values = lab.make("p", { class: "lab-activations-values" });
    const rows = lab.make("tbody");
    const status = lab.status();

    /* Said when the hand rests, not for every place that the pointer passes. */
    function say(text) {
      clearTimeout(timer);
      timer = setTimeout(() => { status.textContent = text; }, 500);
    }

    function drawCurves() {
      const { f, slope } = FUNCTIONS[name];
      const [value, steepness] = [fixed(f(a)), fixed(slope(a))];
      left.draw(f, a, slope(a), `The curve of ${name} with its tangent at a = ${fixed(a, 1)}, where f(a) = ${value}.`);
      right.draw(slope, a, null, `The derivative of ${name}; at a = ${fixed(a, 1)} it is ${steepness}.`);
      values.replaceChildren(`f(${fixed(a, 1)}) = `, lab.make("strong", {}, value), `, f′(${fixed(a, 1)}) = `, lab.make("strong", {}, steepness));
      say(`${name} at ${fixed(a, 1)}: f is ${value}, its derivative ${steepness}.`);
    }

    function drawChain() {
      const layers = chain(FUNCTIONS[name], weight, x, count);
      rows.replaceChildren(...layers.map((layer, k) => {
        const power = Math.log10(Math.abs(layer.gradient)); // -Infinity for 0: no bar
        const share = (Math.max(LOWEST, Math.min(HIGHEST, power)) - LOWEST) / (HIGHEST - LOWEST);
        return lab.make("tr", {},
          lab.make("th", { scope: "row" }, String(k + 1)),
          lab.make("td", {}, short(layer.a)), lab.make("td", {}, short(layer.factor)),
          lab.make("td", {}, short(layer.gradient),
            lab.make("span", { class: "lab-activations-track", "aria-hidden": "true" },
              lab.make("span", { style: `width: ${100 * share}%` }))));
      }).reverse());
      const first = layers[0].gradient;
      say(first === 0
        ? `With ${count} layers of ${name}, no gradient reaches layer 1: a factor on its way is 0.`
        : `With ${count} layers of ${name}, a gradient of 1 at the output is ${short(first)} when it has come back through layer 1.`);
    }

    const tick = (power) => lab.make("span", { style: `left: ${100 * (power - LOWEST) / (HIGHEST - LOWEST)}%` },
      power ? lab.make("span", {}, "10", lab.make("sup", {}, minus(String(power)))) : "1");
    root.append(
      lab.make("div", { class: "lab-row" },
        lab.choice("Activation function f", Object.keys(FUNCTIONS).map((key) => [key, key]), name,
          (key) => { name = key; drawCurves(); drawChain(); }),
        control),
      lab.make("div", { class: "lab-plots" }, left.drawing, right.drawing),
      values,
      lab.make("p", {}, "Now layers of one unit each: layer ", lab.make("i", {}, "k"), " multiplies what comes in by the weight w, which gives its a, and applies f. "
        + "A gradient of 1 comes back from the output; each layer multiplies it by w f′(a)."),
      lab.make("div", { class: "lab-row" },
        lab.slider("Layers", { min: 1, max: 10, step: 1, value: count }, (n) => { count = n; drawChain(); }),
        lab.slider("Weight w", { min: -5, max: 5, step: 0.1, value: weight, show: (n) => fixed(n, 1) }, (n) => { weight = n; drawChain(); }),
        lab.slider("Input x", { min: -5, max: 5, step: 0.1, value: x, show: (n) => fixed(n, 1) }, (n) => { x = n; drawChain(); })),
      lab.make("table", { class: "lab-table lab-activations-chain" },
        lab.make("thead", {}, lab.make("tr", {}, ["layer", "a", "w f′(a)"].map((text) => lab.make("th", { scope: "col" }, text)),
          lab.make("th", { scope: "col" }, "gradient passed back",
            lab.make("span", { class: "lab-activations-scale", "aria-hidden": "true" }, [LOWEST, 0, HIGHEST].map(tick))))),
        rows),
      status);
    drawCurves();
    drawChain();
  }

  lab.define("activations", Object.assign(build, { FUNCTIONS, chain }));
}
