/* From scores to probabilities, to the cost, to the gradient: ten sliders. */
"use strict";

{
  const DIGITS = Array.from({ length: 10 }, (_, digit) => digit);
  const LIMIT = 10; // of a slider
  const PRESETS = {
    "All equal": DIGITS.map(() => 0),
    "Sure of 3": DIGITS.map((digit) => (digit === 3 ? 8 : digit === 8 ? 1.5 : -1)),
    "Torn between 4 and 9": DIGITS.map((digit) => ({ 4: 4, 9: 3.8, 7: 1 }[digit] ?? -2)),
  };

  /* log Σ exp z; the largest is taken out first, so that nothing overflows. */
  function logSumExp(z) {
    const largest = Math.max(...z);
    return largest + Math.log(z.reduce((sum, score) => sum + Math.exp(score - largest), 0));
  }

  function softmax(z) {
    const largest = Math.max(...z);
    const exponentials = z.map((score) => Math.exp(score - largest));
    const sum = exponentials.reduce((a, b) => a + b);
    return exponentials.map((e) => e / sum);
  }

  /* From the logits, not from probabilities: one that is 0 would cost infinitely much. */
  function crossEntropy(z, label) {
    return logSumExp(z) - z[label];
  }

  /* dC/dz: probability minus truth. */
  function gradient(z, label) {
    return softmax(z).map((y, digit) => y - (digit === label));
  }

  const signed = (number, digits) => (number < 0 ? "−" : "") + Math.abs(number).toFixed(digits);

  function build(root) {
    let label = 4, temperature = 1, timer = 0;
    const scores = [...PRESETS["Torn between 4 and 9"]];

    const rows = DIGITS.map((digit) => {
      const control = lab.slider(`Score of ${digit}`, {
        min: -LIMIT, max: LIMIT, step: 0.1, value: scores[digit], show: (z) => signed(z, 1),
      }, (z) => { scores[digit] = z; draw(); });
      const [y, slope] = [0, 1].map(() => ({ text: lab.make("span"), bar: lab.make("span", { class: "lab-scores-bar" }) }));
      const cell = (part, kind) => lab.make("td", {}, part.text,
        lab.make("span", { class: `lab-scores-track ${kind}`, "aria-hidden": "true" }, part.bar));
      const name = lab.make("th", { scope: "row" }, String(digit));
      const row = lab.make("tr", {}, name, lab.make("td", {}, control), cell(y, "lab-scores-from-0"), cell(slope, "lab-scores-both"));
      return { row, name, input: control.querySelector("input"), y, slope };
    });

    function setScores(values) {
      rows.forEach(({ input }, digit) => {
        input.value = values[digit];
        input.dispatchEvent(new Event("input"));
        // The slider shows tenths; small steps against the gradient must not get lost.
        scores[digit] = Math.max(-LIMIT, Math.min(LIMIT, values[digit]));
      });
      draw();
    }

    const cost = lab.make("p", { class: "lab-scores-cost" });
    const status = lab.status();

    function draw() {
      const z = scores.map((score) => score / temperature);
      const y = softmax(z), slopes = gradient(z, label), c = crossEntropy(z, label);
      rows.forEach((row, digit) => {
        row.row.classList.toggle("lab-scores-label", digit === label);
        row.name.textContent = digit === label ? `${digit} ✓` : String(digit);
        row.y.text.textContent = y[digit].toFixed(4);
        row.y.bar.style.width = `${100 * y[digit]}%`;
        row.slope.text.textContent = signed(slopes[digit], 4);
        row.slope.bar.style.width = `${50 * Math.abs(slopes[digit])}%`;
        row.slope.bar.style.left = `${50 + 50 * Math.min(0, slopes[digit])}%`;
        row.slope.bar.classList.toggle("lab-scores-negative", slopes[digit] < 0);
      });
      cost.replaceChildren("Cost C = −log ", lab.make("i", {}, "y"), lab.make("sub", {}, String(label)),
        " = ", lab.make("strong", {}, `${signed(c, 4)} nats`));
      // Said when the hand rests, not at every notch of a slider.
      clearTimeout(timer);
      timer = setTimeout(() => {
        const best = y.indexOf(Math.max(...y));
        status.textContent = `${best} is the most probable digit, ${y[best].toFixed(2)}; the label ${label} has `
          + `probability ${y[label].toFixed(2)}, which costs ${c.toFixed(2)} nats (guessing blindly: ${Math.log(10).toFixed(2)}).`;
      }, 500);
    }

    root.append(
      lab.make("div", { class: "lab-row" }, Object.entries(PRESETS).map(([name, values]) =>
        lab.button(name, () => setScores(values)))),
      lab.make("div", { class: "lab-row" },
        lab.choice("Label", DIGITS.map((digit) => [String(digit), String(digit)]), String(label),
          (digit) => { label = Number(digit); draw(); }),
        // From 0.1 to 10, each notch the same factor.
        lab.slider("Temperature", {
          min: -1, max: 1, step: 0.05, value: 0, show: (power) => (10 ** power).toPrecision(2),
        }, (power) => { temperature = 10 ** power; draw(); }),
        lab.button("Step against the gradient", () =>
          setScores(gradient(scores.map((z) => z / temperature), label).map((slope, digit) => scores[digit] - slope)))),
      cost, // beside the buttons that change it, on a phone, too
      lab.make("table", { class: "lab-table lab-scores-table" },
        lab.make("thead", {}, lab.make("tr", {}, ["digit", "score z", "proba\u00adbility y", "gradient y − l"].map((name) =>
          lab.make("th", { scope: "col" }, name)))),
        lab.make("tbody", {}, rows.map(({ row }) => row))),
      lab.make("p", {}, "✓ marks the label. A score whose gradient is positive should fall, one whose gradient is negative should rise. "
        + "The temperature divides all scores before the softmax; the gradient is that of the divided scores."),
      status);
    draw();
  }

  lab.define("scores", Object.assign(build, { softmax, crossEntropy, gradient }));
}
