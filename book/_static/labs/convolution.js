/* A convolutional layer, number by number: the window, its products, their sum. */
"use strict";

lab.define("convolution", ["arithmetic", "windows"], (
  { fill, outputSize, pad, windowAt, products, conv2d },
  { digits, show, added, each, bench, table, entry, player },
) => (root) => {
  const { make, sum } = lab;

  // Fig. 4 of the source chapter: rows of a slice are divided by /.
  const read = (text) => text.split(" / ").map((row) => row.split(" ").map(Number));
  const figure = {
    x: [
      "1 0 2 2 2 / 0 0 0 0 0 / 2 0 2 2 2 / 1 0 0 0 0 / 1 0 0 2 1",
      "1 0 1 0 1 / 0 0 0 0 1 / 0 0 2 0 0 / 2 0 0 0 0 / 0 0 1 0 0",
      "0 2 2 0 0 / 0 0 0 0 1 / 1 1 2 0 2 / 2 0 0 0 0 / 0 1 1 0 1",
    ].map(read),
    w: [
      "1 0 0 / -1 0 0 / 0 -1 1", "-1 -1 0 / -1 -1 1 / 1 0 0", "1 1 0 / 0 -1 1 / 1 1 1",
      "1 -1 0 / -1 0 0 / 0 1 -1", "0 1 -1 / 0 0 0 / 0 1 1", "0 -1 0 / 1 1 -1 / -1 0 1",
    ].map(read),
    b: [1, 0],
    start: { K: 2, F: 3, S: 2, P: 1 },
    pace: 2,
  };
  // The chapter's kernels for upright and for level edges.
  const edges = ["-1 0 1 / -2 0 2 / -1 0 1", "-1 -2 -1 / 0 0 0 / 1 2 1"].map(read);
  const digit = (label) => ({
    x: [digits[label]],
    w: edges,
    b: [0, 0],
    start: { K: 2, F: 3, S: 1, P: 0 },
    pace: 10, // it has hundreds of outputs, most of them 0: half a minute for all
  });
  const cases = { figure, 4: digit(4), 5: digit(5), 7: digit(7) };
  const most = { K: 4, F: 7, S: 4, P: 2 };

  let name, sizes, x, w, b; // what the reader has chosen
  const own = new Set(); // the kernels that the reader has written in
  let O, weights, y, padded; // what follows from it
  let slices, kernels, biases, which, places, totals, maps; // what is drawn

  /* Take a case. Its kernels go up to the largest K and F, so that no entry is lost
     when the reader changes a size and changes it back. */
  function take(key) {
    const given = cases[key];
    if (key !== name) steps.pace(given.pace);
    name = key;
    own.clear();
    sizes = { ...given.start };
    x = given.x;
    b = fill(most.K, (k) => given.b[k] ?? 0);
    const start = (k, d, u, v) => (k < given.b.length
      ? given.w[k * x.length + d][u]?.[v] ?? 0 : (k + d + 2 * u + v) % 3 - 1);
    w = fill(most.K, (k) => fill(x.length, (d) =>
      fill(most.F, (u) => fill(most.F, (v) => start(k, d, u, v)))));
    const labels = { K: "kernels K", F: "size F", S: "stride S", P: "padding P" };
    fields.replaceChildren(...Object.entries(labels).map(([letter, text]) => {
      const bounds = { min: letter === "P" ? 0 : 1, max: most[letter], whole: true };
      return lab.field(text, { ...bounds, value: sizes[letter] },
        (value) => { sizes[letter] = value; build(); });
    }));
    build();
  }

  /* Lay out the tables anew: a size has changed. */
  function build() {
    const { K, F, S, P } = sizes, W = x[0].length;
    steps.stop();
    O = outputSize(W, F, S, P);
    if (!fits("(W − F + 2P) / S", `(${W} − ${F} + 2 · ${P}) / ${S}`, O,
      `the kernel is ${F} wide, and the input with its padding only ${W + 2 * P}. `
        + "Choose a smaller F or a larger P.")) return;
    padded = x.map((slice) => pad(slice, P));
    slices = padded.map((slice, d) => table(`input x[${d}]${P ? " with padding" : ""}`,
      slice, { ink: x.length === 1 && slice }));
    slices.forEach(({ cells }) => each(cells, (cell, r, c) =>
      cell.classList.toggle("lab-padding", x[0][r - P]?.[c - P] === undefined)));
    hints.replaceChildren();
    kernels = fill(K, (k) => x.map((_, d) => kernelTable(k, d)));
    places = x.map(() => make("div"));
    totals = x.map(() => make("p.lab-total"));
    layer.replaceChildren(...x.map((_, d) => make("div.lab-slice", slices[d].element,
      make("div",
        make("div.lab-products", kernels.map((kernel) => kernel[d].element), places[d]),
        totals[d]))));
    layer.append(hints);
    biases = fill(K, (k) => lab.field(`bias b[${k}]`,
      { min: -99, max: 99, value: show(b[k]) },
      (value) => { b[k] = value; compute(); }));
    which = lab.choice("kernel", fill(K, (k) => [String(k), `w[${k}]`]), "0",
      (k) => steps.go(Number(k) * O * O + steps.at % (O * O)));
    chosen.replaceChildren(which, ...biases);
    steps.at = 0;
    steps.count = K * O * O;
    compute();
    status.textContent =
      `Each kernel gives a map of ${O} × ${O}; outputs in all: ${steps.count}.`;
  }

  function kernelTable(k, d) {
    const field = (u, v) =>
      entry(`w[${k}, ${d}], row ${u}, column ${v}`, w[k][d][u][v], hints, (value) => {
        w[k][d][u][v] = value;
        own.add(k);
        compute();
      });
    return table(`kernel w[${k}, ${d}]`,
      fill(sizes.F, (u) => fill(sizes.F, (v) => field(u, v))), { chars: 4 });
  }

  /* All outputs anew: a number has changed. */
  function compute() {
    const { K, F, S, P } = sizes;
    weights = w.slice(0, K).map((kernel) => kernel.map((slice) =>
      slice.slice(0, F).map((row) => row.slice(0, F))));
    y = conv2d(x, weights, b, S, P);
    const largest = Math.max(...y.flat(2).map(Math.abs)) || 1;
    maps = y.map((map, k) => table(`output y[${k}]`, map,
      { choose: (r, c) => steps.go(O * (O * k + r) + c), decimals: 2 }));
    maps.forEach(({ cells }, k) => each(cells, (cell, r, c) => {
      const value = y[k][r][c];
      cell.dataset.text = cell.textContent;
      cell.style.setProperty("--share", `${40 * Math.abs(value) / largest}%`);
      cell.classList.toggle("lab-below", value < 0);
    }));
    outputs.replaceChildren(...maps.map(({ element }) => element));
    steps.go(steps.at);
  }

  /* The kernel, row and column of an output. */
  const place = () =>
    [Math.floor(steps.at / O ** 2), Math.floor(steps.at / O) % O, steps.at % O];

  /* One window: what it sees, the products, their sum, and the outputs up to it. */
  function step() {
    const { F, S } = sizes, at = steps.at, [k, r, c] = place();
    const sums = padded.map((slice, d) => {
      const parts = products(windowAt(slice, r, c, F, S), weights[k][d]);
      const total = sum(parts.flat());
      slices[d].look(S * r, S * c, F);
      places[d].replaceChildren(table("products", parts).element);
      totals[d].textContent = `their sum: ${show(total)}`;
      return total;
    });
    kernels.forEach((kernel, i) => {
      kernel.forEach(({ element }) => { element.hidden = i !== k; });
      biases[i].hidden = i !== k;
    });
    which.children[1].value = k;
    maps.forEach(({ cells, look }, i) => {
      look(r, c, i === k ? 1 : 0);
      cells.flat().forEach((cell, j) => {
        const filled = i * O * O + j <= at;
        cell.textContent = filled ? cell.dataset.text : "";
        cell.classList.toggle("lab-filled", filled);
      });
      if (i !== k) cells[r][c].tabIndex = 0;
    });
    const [first, ...others] = sums;
    equation.replaceChildren(
      `y[${k}, ${r}, ${c}] = ${[show(first), ...others.map(added)].join(" ")} `,
      make("span.lab-bias", `${added(b[k])} (bias)`), ` = ${show(y[k][r][c])}`);
    status.textContent = steps.playing ? "" : `Output ${at + 1} of ${steps.count}: `
      + `kernel ${k}, row ${r}, column ${c}, is ${show(y[k][r][c])}.`;
  }

  const steps = player(root, step);
  const { fields, work, hints, equation, status, fits } =
    bench(root, "5 × 5, depth 3, as drawn", take);
  const chosen = lab.row();
  const layer = make("div.lab-layer"), outputs = make("div.lab-layer");
  // On a phone these stay in sight, at the bottom, while the tables are scrolled.
  const now = make("div.lab-now", steps.controls, equation);
  work.append(chosen, layer, now, outputs);
  take("figure");
  /* A kernel of the reader's own that answers to both sides of an edge, and not at all
     to even ground. */
  const findsEdge = (kernel, k) => b[k] === 0 && own.has(k)
    && sum(kernel.flat(2)) === 0 && Math.max(...y[k].flat()) > 0
    && Math.min(...y[k].flat()) < 0;
  return {
    ...steps.state,
    goals: [
      ["a single output from the whole input",
        () => O === 1 && sizes.F - sizes.P >= x[0].length],
      ["a map as large as its input, from a kernel larger than 1 × 1",
        () => O === x[0].length && sizes.F > 1],
      ["an edge in a digit, found by a kernel of your own whose numbers add up to 0",
        () => O > 0 && x.length === 1 && weights.some(findsEdge)],
    ],
    code() {
      const { K, F, S, P } = sizes, [D, W] = [x.length, x[0].length];
      const output = place().join(", ");
      return `x = ${lab.tensor(x.flat(2), 1, D, W, W)}
w = ${lab.tensor(weights.flat(3), K, D, F, F)}
b = ${lab.tensor(b.slice(0, K))}
y = F.conv2d(x, w, b, stride=${S}, padding=${P})
print(f"y[${output}] = {y[0, ${output}]:.3f}")`;
    },
  };
});
