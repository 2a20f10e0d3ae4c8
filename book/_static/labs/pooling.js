/* Pooling: one number for each window, the largest or the average. */
"use strict";

lab.define("pooling", ["arithmetic", "windows"], (arithmetic, windows) => (root) => {
  const { make, sum } = lab, { outputSize, windowAt, maxPool, avgPool } = arithmetic;
  const { digits, show, each, bench, table, entry, player } = windows;

  // Fig. 5 of the source chapter.
  const figure = [[1, 0, 2, 3], [4, 6, 6, 8], [3, 1, 1, 0], [1, 2, 2, 4]];

  let kind = "max", digit, x, F, S; // what the reader has chosen
  let O, y, map, output; // what follows from it

  function take(name) {
    digit = digits[name];
    x = (digit ?? figure).map((row) => [...row]);
    F = S = 2;
    const size = { min: 1, max: 7, whole: true, value: 2 };
    fields.replaceChildren(
      lab.field("size F", size, (value) => { F = value; compute(); }),
      lab.field("stride S", size, (value) => { S = value; compute(); }));
    hints.replaceChildren();
    const number = (value, r, c) => digit ? value
      : entry(`x, row ${r}, column ${c}`, value, hints, (typed) => {
        x[r][c] = typed;
        compute();
      });
    const contents = x.map((row, r) => row.map((value, c) => number(value, r, c)));
    map = digit ? table("input x", contents, { ink: x })
      : table("input x: change any number", contents, { chars: 4 });
    input.replaceChildren(map.element);
    steps.at = 0;
    compute();
  }

  /* All outputs anew: a number, a size or the kind of pooling has changed. */
  function compute() {
    const W = x.length;
    O = outputSize(W, F, S);
    steps.stop();
    if (!fits("(W − F) / S", `(${W} − ${F}) / ${S}`, O,
      `it is ${F} wide, and the input only ${W}. Choose a smaller F.`)) return;
    y = kind === "max" ? maxPool(x, F, S) : avgPool(x, F, S);
    output = table("output y", y,
      { choose: (r, c) => steps.go(O * r + c), ink: digit && y, decimals: 2 });
    each(output.cells, (cell, r, c) =>
      cell.addEventListener("pointerenter", ({ pointerType }) => {
        if (pointerType === "mouse") steps.go(O * r + c);
      }));
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
    const missed = (i) => i >= end || i % S >= F;
    unseen.hidden = !x.some((_, i) => missed(i));
    each(map.cells, (cell, i, j) => {
      const won = kind === "max" && i === winner[0] && j === winner[1];
      cell.classList.toggle("lab-winner", won);
      cell.classList.toggle("lab-padding", missed(i) || missed(j));
    });
    const list = F < 5 ? seen.map((n) => show(n)).join(", ") : `these ${F * F} numbers`;
    equation.textContent = `y[${r}, ${c}]: ` + (kind === "max"
      ? `the largest of ${list} is ${value}, in row ${winner[0]}, column ${winner[1]}.`
      : `the average of ${list} is ${show(sum(seen))} / ${F * F} = ${value}.`);
    status.textContent = steps.playing ? ""
      : `Window ${steps.at + 1} of ${steps.count}: ${value}.`;
  }

  const steps = player(root, step);
  const choice = lab.choice("pooling", [["max", "maximum"], "average"], kind,
    (value) => { kind = value; compute(); });
  const { fields, work, hints, equation, status, fits } =
    bench(root, "4 × 4, as drawn", take, choice);
  const input = make("div"), result = make("div");
  const unseen = make("p", "Hatched numbers are in no window.");
  const layer = make("div.lab-layer", input, result);
  work.append(layer, hints, unseen, equation, steps.controls);
  take("figure");
  return {
    ...steps.state,
    goals: [
      ["a single output, from all numbers of the input",
        () => O === 1 && F === x.length],
      ["windows that overlap", () => O > 1 && S < F],
      ["a window, not all zeros, whose largest number is also its average", () => O > 0
        && maxPool(x, F, S).flat().some((most, n) =>
          most && most === avgPool(x, F, S).flat()[n])],
    ],
    code: () => `x = ${lab.tensor(x.flat(), 1, x.length, x.length)}
y = F.${kind === "max" ? "max" : "avg"}_pool2d(x, ${F}, stride=${S})
print(f"y[${Math.floor(steps.at / O)}, ${steps.at % O}] = `
      + `{y[0, ${Math.floor(steps.at / O)}, ${steps.at % O}]:.3f}")`,
  };
});
