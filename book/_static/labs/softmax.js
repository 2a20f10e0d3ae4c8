/* Softmax regression that learns as you watch, from the digits in digits.js: the
   chapter's ten lines (weights of zero, shuffled batches, a step against the gradient),
   in a worker; the page draws what it tells. */
"use strict";

{
  const { make, button, slider, percent, thousands } = lab;
  const PACE = 10; // digits a millisecond, at most: slow enough to watch
  const STRETCH = 30; // epochs after which a run pauses by itself
  const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1];
  const SIZES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]; // of batches
  const PIXELS = 784;

  const core = lab.recipe(function core({ logSumExp }, PIXELS) {
    const EVALUATIONS = 4; // in an epoch

    class SoftmaxRegression {
      constructor() {
        this.weights = new Float32Array(10 * PIXELS); // one template after the other
        this.biases = new Float32Array(10);
        this.gradient = new Float64Array(10 * PIXELS); // of the cost by the weights
        this.logits = new Float64Array(10);
      }

      /* Leave image n's logits in this.logits. */
      score(inputs, n) {
        for (let i = 0; i < 10; i++) {
          let sum = this.biases[i];
          for (let j = 0; j < PIXELS; j++) {
            sum += this.weights[PIXELS * i + j] * inputs[PIXELS * n + j];
          }
          this.logits[i] = sum;
        }
        return this.logits;
      }

      /* One step of gradient descent on the images named by `rows`: W -= rate dC/dW,
         and likewise b. Returns their mean cost before the step. */
      step(inputs, labels, rows, rate) {
        const { weights, biases, gradient } = this;
        const biasGradient = new Float64Array(10);
        let cost = 0;
        gradient.fill(0);
        for (const n of rows) {
          const z = this.score(inputs, n);
          const logSum = logSumExp(z);
          cost += (logSum - z[labels[n]]) / rows.length;
          for (let i = 0; i < 10; i++) {
            // y - l: probability minus truth
            const dz = (Math.exp(z[i] - logSum) - (i === labels[n])) / rows.length;
            for (let j = 0; j < PIXELS; j++) {
              gradient[PIXELS * i + j] += dz * inputs[PIXELS * n + j];
            }
            biasGradient[i] += dz;
          }
        }
        for (let k = 0; k < weights.length; k++) weights[k] -= rate * gradient[k];
        for (let i = 0; i < 10; i++) biases[i] -= rate * biasGradient[i];
        return cost;
      }

      /* The mean cost over all images, and how many are read right. */
      evaluate(inputs, labels) {
        let cost = 0, right = 0;
        labels.forEach((label, n) => {
          const z = this.score(inputs, n);
          cost += (logSumExp(z) - z[label]) / labels.length;
          right += z.indexOf(Math.max(...z)) === label;
        });
        return { cost, right, accuracy: right / labels.length };
      }
    }

    /* Random numbers in [0, 1) that come again after a reset, so that only what the
       reader changes makes a difference (mulberry32). */
    function randomNumbers(seed = 0) {
      return () => {
        seed = (seed + 0x6d2b79f5) | 0;
        let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
        t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
        return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
      };
    }

    function shuffle(order, random) {
      for (let k = order.length - 1; k > 0; k--) {
        const other = Math.floor(random() * (k + 1));
        [order[k], order[other]] = [order[other], order[k]];
      }
    }

    /* A training that can be stopped after any batch; the same after each `new`. */
    class Training {
      constructor(train, held) {
        Object.assign(this, { train, held, model: new SoftmaxRegression() });
        this.random = randomNumbers();
        this.order = Uint32Array.from(train.labels, (_, n) => n);
        this.seen = this.order.length; // of this epoch's digits; all: shuffle first
        this.epoch = 0; // complete epochs
        this.steps = 0;
        this.points = []; // what the curves show
        this.batches = []; // [cost, size] since the last point
        this.record();
      }

      /* Epochs, with the part of the present one. */
      get time() {
        return this.epoch + this.seen % this.order.length / this.order.length;
      }

      step(batchSize, rate) {
        const { order, train } = this;
        if (this.seen === order.length) {
          shuffle(order, this.random);
          this.seen = 0;
        }
        const rows = order.subarray(this.seen, this.seen + batchSize);
        const cost = this.model.step(train.inputs, train.labels, rows, rate);
        this.batches.push([cost, rows.length]);
        const quarter = () => Math.floor(EVALUATIONS * this.seen / order.length);
        const before = quarter();
        this.seen += rows.length;
        this.steps += 1;
        if (this.seen === order.length) this.epoch += 1;
        if (quarter() > before) this.record();
      }

      /* Measure on the held-out digits, and note the mean cost of the batches since. */
      record() {
        const { time, steps, points, batches, held } = this;
        if (points.at(-1)?.steps === steps) return;
        const digits = batches.reduce((sum, [, size]) => sum + size, 0);
        const training = batches.length === 0 ? null
          : batches.reduce((sum, [cost, size]) => sum + cost * size / digits, 0);
        const measured = this.model.evaluate(held.inputs, held.labels);
        points.push({ time, steps, training, ...measured });
        this.batches = [];
      }
    }

    return { SoftmaxRegression, Training };
  }, lab.maths, PIXELS);

  /* What the worker does: it begins anew, or learns from so many digits, at most up to
     an epoch; then it tells how far it has come. A slice is a batch or a few. */
  function* learn(
    { reset, digits = 0, until = Infinity, batchSize, rate, measure },
    { Training }, { train, test }, { toInput }, state,
  ) {
    if (reset) {
      state.sets ??= [train, test].map(({ images, labels }) =>
        ({ inputs: toInput(images), labels }));
      state.training = new Training(...state.sets);
    }
    const { training } = state;
    for (let done = 0, slice = 0; done < digits && training.epoch < until;) {
      training.step(batchSize, rate);
      done += batchSize;
      if (done < slice + 128) continue;
      slice = done;
      yield;
    }
    if (measure || training.epoch >= until) training.record();
    const { time, epoch, steps, points, model } = training;
    const sizes = state.sets.map(({ labels }) => labels.length);
    return { time, epoch, steps, points, weights: model.weights.slice(), sizes };
  }

  /* A small plot of lines over epochs; returns the drawing and what updates it.
     `lines` has [name, colour, dashes, which value of a point]. */
  function chart(title, lines, ticksOf) {
    const strokes = lines.map(([, colour, dashes]) => ({
      stroke: `var(--lab-${colour})`, "stroke-width": 2.5, "stroke-dasharray": dashes,
    }));
    const paths = strokes.map((stroke) =>
      make("polyline", { fill: "none", ...stroke }));
    const legend = lines.map(([name], k) =>
      make("g", { transform: `translate(${50 + 122 * k} 12)` },
        make("line", { x2: 24, ...strokes[k] }), make("text", { x: 29, y: 4 }, name)));
    const box = { left: 46, right: 290, top: 26, bottom: 142, name: "epochs" };
    const { drawing, scale, points } = lab.plot(box, ...paths, ...legend);
    function update(measured, label) {
      const span = 5 * Math.max(1, Math.ceil(measured.at(-1).time / 5));
      const ticks = ticksOf(measured);
      scale([0, span], [[0, "0"], [span, String(span)]], [0, ticks.at(-1)[0]], ticks);
      lines.forEach(([, , , name], k) => {
        const known = measured.filter((point) => point[name] !== null);
        const pairs = known.map((point) => [point.time, point[name]]);
        paths[k].setAttribute("points", points(pairs));
      });
      drawing.setAttribute("aria-label", `${title}. ${label}`);
    }
    return [drawing, update];
  }

  /* A round number above all costs, in halves. */
  function costTicks(points) {
    const costs = points.flatMap(({ cost, training }) => [cost, training]);
    const highest = Math.max(2.5, ...costs);
    const units = [1, 10, 100, 1000].flatMap((ten) => [ten / 2, ten, 2 * ten, 5 * ten]);
    const unit = units.find((n) => 6 * n >= highest) ?? highest / 5;
    return Array.from({ length: Math.ceil(highest / unit) + 1 },
      (_, k) => [k * unit, String(k * unit)]);
  }

  const PALETTES = {
    colours: { pro: [178, 24, 43], zero: [255, 255, 255], against: [33, 102, 172] },
    greys: { pro: [0, 0, 0], zero: [136, 136, 136], against: [255, 255, 255] },
  };

  /* Ten weights' pictures and the words for them; all share one scale. */
  function templates() {
    const pictures = Array.from({ length: 10 }, () =>
      make("canvas", { width: 28, height: 28, role: "img" }));
    const scale = make("p.lab-softmax-scale");
    const of = (weights, digit) =>
      weights.subarray(PIXELS * digit, PIXELS * (digit + 1));

    function draw(weights, palette) {
      const { pro, zero, against } = PALETTES[palette];
      const limit = weights.reduce((most, w) => Math.max(most, Math.abs(w)), 0);
      pictures.forEach((canvas, digit) => {
        const context = canvas.getContext("2d");
        const image = context.createImageData(28, 28);
        of(weights, digit).forEach((weight, j) => {
          const share = Math.abs(weight) / (limit || 1);
          const end = weight > 0 ? pro : against;
          for (let c = 0; c < 3; c++) {
            image.data[4 * j + c] = zero[c] + share * (end[c] - zero[c]);
          }
          image.data[4 * j + 3] = 255;
        });
        context.putImageData(image, 0, 0);
      });
      const size = limit < 10 && limit > 0 ? limit.toPrecision(2) : limit.toFixed(0);
      const colours = [against, zero, pro].map((c) => `rgb(${c})`).join(", ");
      const style = `background: linear-gradient(90deg, ${colours})`;
      scale.replaceChildren(
        make("span", `against: ${limit ? "−" : ""}${size}`),
        make("span.lab-softmax-bar", { style }),
        make("span", `for: ${limit ? "+" : ""}${size}`));
    }

    return {
      figure: make("div",
        make("div.lab-softmax-templates", pictures.map((canvas, digit) =>
          make("div", canvas, make("span", { "aria-hidden": "true" }, String(digit))))),
        scale),
      draw,
      describe: (weights) => pictures.forEach((canvas, digit) =>
        canvas.setAttribute("aria-label", words(digit, of(weights, digit)))),
    };
  }

  /* What a template asks for, in nine regions: a picture's worth in a sentence. */
  function words(digit, template) {
    const names = ["top", "middle", "bottom"].flatMap((row) =>
      ["left", "centre", "right"].map((column) => `${row} ${column}`));
    const sums = new Float64Array(9);
    template.forEach((weight, j) => {
      // The outermost four pixels are paper in nearly every digit.
      const [row, column] = [Math.floor(j / 28) - 4, j % 28 - 4];
      if (Math.min(row, column) < 0 || Math.max(row, column) > 19) return;
      sums[3 * Math.floor(3 * row / 20) + Math.floor(3 * column / 20)] += weight;
    });
    const best = names[sums.indexOf(Math.max(...sums))];
    const worst = names[sums.indexOf(Math.min(...sums))];
    return best === worst ? `Template of ${digit}: all weights are 0.`
      : `Template of ${digit}: ink at the ${best} speaks most for it, `
        + `ink at the ${worst} most against it.`;
  }

  async function build(root) {
    const digits = await lab.fetchPart("digits");
    const state = lab.recipe(() => ({})); // the worker's memory
    const ask = lab.offload(learn, core, digits, lab.maths, state);
    let rate = 0.01, batchSize = 32, palette = "colours", until = 0;
    const untrained = await ask({ reset: true });
    let training = untrained; // as the worker last told

    const counted = (count, noun) =>
      `${thousands(count)} ${noun}${count === 1 ? "" : "s"}`;
    const pictures = templates();
    await lab.pause();
    const [costs, drawCosts] = chart("Cost over epochs", [
      ["training cost", "blue", null, "training"],
      ["held-out cost", "orange", "6 4", "cost"],
    ], costTicks);
    const [accuracies, drawAccuracies] = chart("Held-out accuracy over epochs",
      [["held-out accuracy", "orange", "6 4", "accuracy"]],
      () => [0, 25, 50, 75, 100].map((n) => [n / 100, `${n} %`]));

    const names =
      ["epochs", "steps", "training cost", "held-out cost", "held-out accuracy"];
    const numbers = names.map(() => make("dd"));
    const write = (texts, from) =>
      texts.forEach((text, k) => { numbers[from + k].textContent = text; });
    const status = lab.status();

    let shown = -1; // the steps after which the charts' last point was measured
    function draw() {
      const { points, weights, time, steps } = training, last = points.at(-1);
      write([time.toFixed(2), thousands(steps)], 0);
      pictures.draw(weights, palette);
      if (last.steps === shown) return;
      shown = last.steps;
      const cost = last.cost.toFixed(3), accuracy = percent(last.accuracy);
      write([last.training?.toFixed(3) ?? "–", cost, accuracy], 2);
      drawCosts(points, `Held-out cost now ${cost} nats.`);
      drawAccuracies(points, `Now ${accuracy}.`);
    }

    /* What is said and described only when training rests, not in each frame. */
    async function rest(message = {}) {
      motion.stop();
      run.textContent = "Run";
      if (message.reset) {
        training = untrained;
        draw();
      }
      training = await ask({ batchSize, rate, measure: true, ...message });
      if (motion.running) return; // goes on already
      draw();
      pictures.describe(training.weights);
      const { points, steps, epoch, sizes } = training;
      const { right, accuracy, cost } = points.at(-1);
      const [total, held] = sizes.map(thousands);
      status.textContent = steps === 0
        ? `All weights are 0. ${total} digits to learn from, `
          + `${held} held out.`
        : `After ${counted(steps, "step")}, ${counted(epoch, "complete epoch")}: `
          + `${right} of ${held} held-out digits are read right, ${percent(accuracy)}; `
          + `the cost on them is ${cost.toFixed(3)} nats.`;
    }

    /* Where motion is not wanted, the pictures change only when training rests. */
    let before = 0, learning = false;
    const motion = lab.animation(root, async (time) => {
      if (!motion.running || learning) return; // asked for before the pause
      const due = lab.still.matches ? 2000 : PACE * Math.min(time - before, 50);
      before = time;
      learning = true;
      const told = await ask({ digits: due, until, batchSize, rate });
      learning = false;
      if (!motion.running) return;
      training = told;
      if (training.epoch >= until) rest();
      else if (!lab.still.matches) draw();
    });

    function trainUntil(epoch) {
      until = epoch;
      run.textContent = "Pause";
      status.textContent = "Learning …";
      motion.start();
    }

    const run = button("Run", () =>
      motion.running ? rest() : trainUntil(training.epoch + STRETCH));
    const steps = (text, values, value, change) => slider(text, {
      min: 0, max: values.length - 1, step: 1, value: values.indexOf(value),
      show: (k) => String(values[k]),
    }, (k) => change(values[k]));
    root.append(
      make("div.lab-row", run,
        button("One step", () => rest({ digits: 1 })),
        button("One epoch", () => trainUntil(training.epoch + 1)),
        button("Reset", () => rest({ reset: true }))),
      make("div.lab-row",
        steps("Learning rate", RATES, rate, (value) => { rate = value; }),
        steps("Batch size", SIZES, batchSize, (value) => { batchSize = value; }),
        lab.choice("Templates in", [
          ["colours", "red for, blue against"], ["greys", "black for, white against"],
        ], palette, (name) => { palette = name; draw(); })),
      pictures.figure,
      make("div.lab-softmax-numbers", make("dl", names.map((name, k) =>
        make("div", make("dt", name), numbers[k])))),
      make("div.lab-plots", costs, accuracies),
      status);
    await lab.pause();
    await rest();
  }

  lab.define("softmax", Object.assign(build, core.build()));
}
