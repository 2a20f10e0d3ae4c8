/* Pooling: one number for each window, the largest or the average. */
"use strict";

lab.define("pooling", async (root) => {
  const { make } = lab;
  const { sum, fill, outputSize, windowAt, maxPool, avgPool } = await lab.load("arithmetic");
  const { digits, show, table, entry, player } = await lab.load("windows");

  // Fig. 5 of the source chapter.
  const figure = [[1, 0, 2, 3], [4, 6, 6, 8], [3, 1, 1, 0], [1, 2, 2, 4]];

  let name = "figure", kind = "max", x, F, S; // what the reader has chosen
  let O, y, map, output; // what follows from it

  function take(key) {
    name = key;
    x = (digits[name] ?? figure).map((row) => [...row]);
    F = S = 2;
    const field = (text, change) => lab.field(text, { min: 1, max: 7, whole: true, value: 2 },
      (value) => { change(value); compute(); });
    fields.replaceChildren(
      field("size F", (n) => { F = n; }), field("stride S", (n) => { S = n; }));
    hints.replaceChildren();
    const number = (r, c) => entry(`x, row ${r}, column ${c}`,
      { min: -99, max: 99, value: x[r][c] }, hints, (value) => {
        x[r][c] = value;
        compute();
      });
    map = name === "figure"
      ? table("input x", x.map((row, r) => row.map((_, c) => number(r, c))), { chars: 4 })
      : table("input x", x.map((row) => row.map(String)));
    shade(map, x);
    input.replaceChildren(map.element);
    steps.at = 0;
    compute();
  }

  /* A digit is shown as ink, too. */
  function shade({ cells }, values) {
    if (name === "figure") return;
    cells.forEach((row, r) => row.forEach((cell, c) =>
      cell.style.setProperty("--ink", `${3 * values[r][c]}%`)));
  }

  /* All outputs anew: a number, a size or the kind of pooling has changed. */
  function compute() {
    const W = x.length;
    O = outputSize(W, F, S);
    formula.textContent = "O = ⌊(W − F) / S⌋ + 1 = "
      + `⌊(${W} − ${F}) / ${S}⌋ + 1 = ${show(O)}`;
    work.hidden = O < 1;
    steps.stop();
    if (O < 1) {
      status.textContent = `No window fits: it is ${F} wide, and the input only ${W}. `
        + "Choose a smaller F.";
      return;
    }
    y = kind === "max" ? maxPool(x, F, S) : avgPool(x, F, S);
    output = table("output y", y.map((row) => row.map((n) => show(n, 2))),
      { choose: (r, c) => steps.go(O * r + c) });
    output.cells.flat().forEach((cell, i) => cell.addEventListener("pointerenter", (event) => {
      if (event.pointerType === "mouse") steps.go(i);
    }));
    shade(output, y);
    result.replaceChildren(output.element);
    steps.count = O * O;
    steps.go(steps.at);
  }

  /* One window, what it holds, and its output. */
  function step() {
    const r = Math.floor(steps.at / O), c = steps.at % O;
    const seen = windowAt(x, r, c, F, S).flat(), value = show(y[r][c]);
    const place = seen.indexOf(y[r][c]); // in a tie the first wins, as in PyTorch
    const winner = [S * r + Math.floor(place / F), S * c + place % F];
    map.look(S * r, S * c, F);
    output.look(r, c, 1);
    const end = S * (O - 1) + F; // of the last window
    map.cells.forEach((row, i) => row.forEach((cell, j) => {
      cell.classList.toggle("lab-winner", kind === "max" && i === winner[0] && j === winner[1]);
      cell.classList.toggle("lab-padding", i >= end || j >= end || i % S >= F || j % S >= F);
    }));
    const list = F < 5 ? seen.map((n) => show(n)).join(", ") : `these ${F * F} numbers`;
    const result = kind === "max"
      ? `the largest of ${list} is ${value}, in row ${winner[0]}, column ${winner[1]}`
      : `the average of ${list} is ${show(sum(seen))} / ${F * F} = ${value}`;
    equation.textContent = `y[${r}, ${c}]: ${result}.`;
    unseen.hidden = !map.cells.flat().some((cell) => cell.classList.contains("lab-padding"));
    status.textContent = steps.playing ? "" : `Window ${steps.at + 1} of ${steps.count}: ${value}.`;
  }

  const steps = player(root, step);
  const fields = make("div", { class: "lab-row lab-sizes" });
  const formula = make("p", { class: "lab-formula" });
  const input = make("div", {}), result = make("div", {});
  const hints = make("div", { class: "lab-hints" });
  const unseen = make("p", {}, "Hatched numbers are in no window.");
  const equation = make("p", { class: "lab-equation" });
  const status = lab.status();
  const work = make("div", {}, make("div", { class: "lab-layer" }, input, result),
    hints, unseen, equation, steps.controls);
  root.append(
    make("div", { class: "lab-row" },
      lab.choice("input", [["figure", "4 × 4, as drawn"], ["4", "a digit 4"], ["5", "a digit 5"],
        ["7", "a digit 7"]], name, take),
      lab.choice("keep", [["max", "the largest"], ["average", "the average"]], kind,
        (value) => { kind = value; compute(); }),
      lab.button("Reset all numbers", () => take(name))),
    fields, formula, work, status);
  take(name);
});
