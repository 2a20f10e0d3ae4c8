/* From scores to probabilities, to the cost, to the gradient: ten sliders. */
"use strict";

{
  const { make, button, slider, fixed, softmax, logSumExp, argmax, clamp } = lab;
  const DIGITS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];
  const LIMIT = 10; // of a slider
  const tenths = (score) => fixed(score, 1);
  const power = (exponent) => (10 ** exponent).toPrecision(2);
  const PRESETS = {
    "All equal": DIGITS.map(() => 0),
    "Sure of 3": [-1, -1, -1, 8, -1, -1, -1, -1, 1.5, -1],
    "Torn between 4 and 9": [-2, -2, -2, -2, 4, -2, -2, 1, -2, 3.8],
  };

  /* From the logits, not from probabilities: one of 0 would cost infinitely much. */
  const crossEntropy = (z, label) => logSumExp(z) - z[label];

  /* dC/dz: probability minus truth. */
  const gradient = (z, label) => softmax(z).map((y, digit) => y - (digit === label));

  function build(root) {
    let label = 4, temperature = 1;
    const scores = [...PRESETS["Torn between 4 and 9"]];
    const divided = () => scores.map((z) => z / temperature);

    const rows = DIGITS.map((digit) => {
      const control = slider(`Score of ${digit}`, {
        min: -LIMIT, max: LIMIT, step: 0.1, value: scores[digit], show: tenths,
      }, (z) => { scores[digit] = z; draw(); });
      const bars = [0, 1].map(() => make("span.lab-bar"));
      const texts = [0, 1].map(() => make("span"));
      control.firstChild.classList.add("lab-spoken"); // the eye has the row's digit
      const name = make("th", { scope: "row" }, String(digit));
      const row = make("tr", name, make("td", control), bars.map((bar, k) =>
        make("td", texts[k], make("span.lab-track", { "aria-hidden": "true" }, bar))));
      return { row, name, input: control.children[1], bars, texts };
    });

    function setScores(values) {
      rows.forEach(({ input }, digit) => {
        lab.move(input, values[digit]);
        // The slider shows tenths; small steps against the gradient must not get lost.
        scores[digit] = clamp(values[digit], -LIMIT, LIMIT);
      });
      draw();
    }

    const cost = make("p.lab-scores-cost");
    const verdict = make("p"), line = lab.status("lab-spoken");

    function draw() {
      const z = divided();
      const y = softmax(z), slopes = gradient(z, label), c = crossEntropy(z, label);
      rows.forEach(({ row, name, bars: [share, slope], texts }, digit) => {
        row.classList.toggle("lab-scores-label", digit === label);
        name.textContent = digit === label ? `${digit} ✓` : String(digit);
        texts[0].textContent = fixed(y[digit], 4);
        texts[1].textContent = fixed(slopes[digit], 4);
        share.style.width = `${100 * y[digit]}%`;
        slope.style.width = `${50 * Math.abs(slopes[digit])}%`;
        slope.style.left = `${50 + 50 * Math.min(0, slopes[digit])}%`;
        slope.classList.toggle("lab-scores-negative", slopes[digit] < 0);
      });
      cost.replaceChildren("Cost C = −log ", make("i", "y"), make("sub", String(label)),
        " = ", make("strong", `${fixed(c, 4)} nats`));
      const best = argmax(y);
      verdict.textContent = `${best} is the most probable digit, `
        + `${y[best].toFixed(2)}; the label ${label} has probability `
        + `${y[label].toFixed(2)}, which costs ${c.toFixed(2)} nats (guessing `
        + `blindly: ${Math.log(10).toFixed(2)}).`;
      line.say(verdict.textContent); // when the hand rests
    }

    function descend() {
      const slopes = gradient(divided(), label);
      setScores(scores.map((z, digit) => z - slopes[digit]));
    }

    root.append(
      lab.row(Object.entries(PRESETS).map(([name, values]) =>
        button(name, () => setScores(values)))),
      lab.row(
        lab.choice("Label", [..."0123456789"], "4",
          (digit) => { label = Number(digit); draw(); }),
        // From 0.1 to 10, each notch the same factor.
        slider("Temperature", { min: -1, max: 1, step: 0.05, value: 0, show: power },
          (exponent) => { temperature = 10 ** exponent; draw(); }),
        button("Step against the gradient", descend)),
      cost, // beside the buttons that change it, on a phone, too
      make("table.lab-table.lab-scores-table",
        lab.heading("digit", "score z", "proba\u00adbility y", "gradient y − l"),
        make("tbody", rows.map(({ row }) => row))),
      make("p", "✓ marks the label. A score whose gradient is positive should fall, "
        + "one whose gradient is negative should rise. The temperature divides all "
        + "scores before the softmax; the gradient is that of the divided scores."),
      verdict, line);
    draw();
    const range = () => Math.max(...scores) - Math.min(...scores);
    const costs = () => crossEntropy(divided(), label);
    return {
      get: () => scores, // a slider shows tenths
      set(given) {
        if (given?.length === 10 && given.every(Number.isFinite)) setScores(given);
      },
      goals: [
        ["a cost of more than 10 nats", () => costs() > 10],
        ["a right answer that costs less than 0.01 nats", () => costs() < 0.01],
        ["scores more than 1 apart, and yet no probability above 0.2",
          () => range() > 1 && Math.max(...softmax(divided())) < 0.2],
      ],
      code: () => `z = ${lab.tensor(scores)}
s = (z / ${temperature}).requires_grad_()  # the temperature divides them
cost = F.cross_entropy(s, torch.tensor(${label}))
cost.backward()
print("y =", s.softmax(dim=0))
print("y - l =", s.grad)
print(f"C = {cost:.4f} nats")`,
    };
  }

  lab.define("scores", Object.assign(build, { softmax, crossEntropy, gradient }));
}
