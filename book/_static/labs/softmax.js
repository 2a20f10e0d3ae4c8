/* Softmax regression that learns as you watch, from the digits in digits.js: the
   chapter's ten lines (weights of zero, shuffled batches, a step against the gradient),
   in a worker; the page draws what it tells. */
"use strict";

{
  const PACE = 10; // digits a millisecond, at most: slow enough to watch
  const STRETCH = 30; // epochs after which a run pauses by itself
  const RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1];

  const core = lab.recipe(function core() {
    const PIXELS = 784;
    const EVALUATIONS = 4; // in an epoch

    class SoftmaxRegression {
      constructor() {
        this.weights = new Float32Array(10 * PIXELS); // one template after the other
        this.biases = new Float32Array(10);
        this.gradient = new Float64Array(10 * PIXELS); // of the cost by the weights, kept between steps
        this.logits = new Float64Array(10);
      }

      /* Leave image n's logits in this.logits. */
      score(inputs, n) {
        for (let i = 0; i < 10; i++) {
          let sum = this.biases[i];
          for (let j = 0; j < PIXELS; j++) sum += this.weights[PIXELS * i + j] * inputs[PIXELS * n + j];
          this.logits[i] = sum;
        }
        return this.logits;
      }

      /* One step of gradient descent on the images named by `rows`: W -= rate dC/dW, and
         likewise b. Returns their mean cost before the step. */
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
            for (let j = 0; j < PIXELS; j++) gradient[PIXELS * i + j] += dz * inputs[PIXELS * n + j];
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

    /* log Σ exp z; the largest is taken out, so that nothing overflows. */
    function logSumExp(z) {
      const largest = Math.max(...z);
      let sum = 0;
      for (const score of z) sum += Math.exp(score - largest);
      return largest + Math.log(sum);
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
        return this.seen < this.order.length ? this.epoch + this.seen / this.order.length : this.epoch;
      }

      get last() {
        return this.points.at(-1);
      }

      step(batchSize, rate) {
        const { order, train } = this;
        if (this.seen === order.length) {
          shuffle(order, this.random);
          this.seen = 0;
        }
        const rows = order.subarray(this.seen, this.seen + batchSize);
        this.batches.push([this.model.step(train.inputs, train.labels, rows, rate), rows.length]);
        const quarter = Math.floor(EVALUATIONS * this.seen / order.length);
        this.seen += rows.length;
        this.steps += 1;
        if (this.seen === order.length) this.epoch += 1;
        if (Math.floor(EVALUATIONS * this.seen / order.length) > quarter) this.record();
      }

      /* Measure on the held-out digits, and note the mean cost of the batches since. */
      record() {
        if (this.last?.steps === this.steps) return;
        const digits = this.batches.reduce((sum, [, size]) => sum + size, 0);
        this.points.push({
          time: this.time,
          steps: this.steps,
          training: this.batches.reduce((sum, [cost, size]) => sum + cost * size / digits, 0) || null,
          ...this.model.evaluate(this.held.inputs, this.held.labels),
        });
        this.batches = [];
      }
    }

    return { PIXELS, SoftmaxRegression, Training };
  });
  const { PIXELS } = core.build();

  /* What the worker does: it begins anew, or learns from so many digits, at most up to
     an epoch; then it tells how far it has come. A slice is a batch or a few. */
  function* learn({ reset, digits = 0, until = Infinity, batchSize, rate, measure }, { Training }, { train, test }, toInput, state) {
    if (reset) {
      state.sets ??= [train, test].map(({ images, labels }) => ({ inputs: toInput(images), labels }));
      state.training = new Training(...state.sets);
    }
    const { training } = state;
    for (let due = digits, slice = 0; due > 0 && training.epoch < until; due -= batchSize) {
      training.step(batchSize, rate);
      if ((slice += batchSize) < 128) continue;
      slice = 0;
      yield;
    }
    if (measure || training.epoch >= until) training.record();
    const { time, epoch, steps, points, model } = training;
    return { time, epoch, steps, points, weights: model.weights.slice(), sizes: state.sets.map(({ labels }) => labels.length) };
  }

  /* A small plot of lines over epochs; returns the drawing and what updates it.
     `lines` has [name, colour, dashes, value of a point]. */
  function chart(title, lines, ticksOf) {
    const [left, right, top, bottom] = [46, 290, 26, 142];
    const axes = lab.make("g");
    const paths = lines.map(([, colour, dashes]) => lab.make("polyline", {
      fill: "none", stroke: `var(${colour})`, "stroke-width": 2.5, "stroke-dasharray": dashes,
    }));
    const legend = lines.map(([name, colour, dashes], k) => lab.make("g", { transform: `translate(${left + 4 + 122 * k} 12)` },
      lab.make("line", { x2: 24, stroke: `var(${colour})`, "stroke-width": 2.5, "stroke-dasharray": dashes }),
      lab.make("text", { x: 29, y: 4 }, name)));
    const drawing = lab.make("svg", { viewBox: "0 0 300 176", role: "img", "font-size": 12 },
      legend, axes, paths,
      lab.make("text", { x: (left + right) / 2, y: 172, "text-anchor": "middle" }, "epochs"));

    function update(points, label) {
      const span = 5 * Math.max(1, Math.ceil(points.at(-1).time / 5));
      const ticks = ticksOf(points);
      const x = (time) => left + (right - left) * time / span;
      const y = (value) => bottom - (bottom - top) * value / ticks.at(-1)[0];
      axes.replaceChildren(
        ...ticks.flatMap(([value, text]) => [
          lab.make("line", { x1: left, x2: right, y1: y(value), y2: y(value), stroke: "currentcolor", "stroke-opacity": value ? 0.25 : 1 }),
          lab.make("text", { x: left - 5, y: y(value) + 4, "text-anchor": "end" }, text),
        ]),
        ...[0, span].map((time) => lab.make("text", { x: x(time), y: bottom + 15, "text-anchor": "middle" }, String(time))),
      );
      lines.forEach(([, , , of], k) => paths[k].setAttribute("points", points
        .filter((point) => of(point) !== null)
        .map((point) => `${x(point.time).toFixed(1)},${y(of(point)).toFixed(1)}`).join(" ")));
      drawing.setAttribute("aria-label", `${title}. ${label}`);
    }
    return [drawing, update];
  }

  /* A round number above all costs, in halves. */
  function costTicks(points) {
    const highest = Math.max(2.5, ...points.map(({ cost, training }) => Math.max(cost, training)));
    const unit = [0.5, 1, 2, 5].map((n) => [n, 10 * n, 100 * n, 1000 * n]).flat().sort((a, b) => a - b)
      .find((n) => 6 * n >= highest) ?? highest / 5;
    return Array.from({ length: Math.ceil(highest / unit) + 1 }, (_, k) => [k * unit, String(k * unit)]);
  }

  const PALETTES = {
    colours: { for: [178, 24, 43], zero: [255, 255, 255], against: [33, 102, 172] },
    greys: { for: [0, 0, 0], zero: [136, 136, 136], against: [255, 255, 255] },
  };

  /* Ten weights' pictures and the words for them; all share one scale. */
  function templates() {
    const pictures = Array.from({ length: 10 }, () => lab.make("canvas", { width: 28, height: 28, role: "img" }));
    const scale = lab.make("p", { class: "lab-softmax-scale" });
    const figure = lab.make("div", {},
      lab.make("div", { class: "lab-softmax-templates" }, pictures.map((canvas, digit) =>
        lab.make("div", {}, canvas, lab.make("span", { "aria-hidden": "true" }, String(digit))))),
      scale);

    function draw(weights, palette) {
      const ends = PALETTES[palette];
      let limit = 0;
      for (const weight of weights) limit = Math.max(limit, Math.abs(weight));
      pictures.forEach((canvas, digit) => {
        const context = canvas.getContext("2d");
        const image = context.createImageData(28, 28);
        for (let j = 0; j < PIXELS; j++) {
          const weight = weights[PIXELS * digit + j] / (limit || 1);
          const end = weight > 0 ? ends.for : ends.against;
          for (let c = 0; c < 3; c++) image.data[4 * j + c] = ends.zero[c] + Math.abs(weight) * (end[c] - ends.zero[c]);
          image.data[4 * j + 3] = 255;
        }
        context.putImageData(image, 0, 0);
      });
      const size = limit < 10 && limit > 0 ? limit.toPrecision(2) : limit.toFixed(0);
      const [against, zero, pro] = [ends.against, ends.zero, ends.for].map((c) => `rgb(${c})`);
      scale.replaceChildren(
        lab.make("span", {}, `against: ${limit ? "−" : ""}${size}`),
        lab.make("span", { class: "lab-softmax-bar", style: `background: linear-gradient(90deg, ${against}, ${zero}, ${pro})` }),
        lab.make("span", {}, `for: ${limit ? "+" : ""}${size}`));
    }

    function describe(weights) {
      pictures.forEach((canvas, digit) => canvas.setAttribute("aria-label",
        words(digit, weights.subarray(PIXELS * digit, PIXELS * (digit + 1)))));
    }
    return { figure, draw, describe };
  }

  /* What a template asks for, in nine regions: a picture's worth in a sentence. */
  function words(digit, template) {
    const names = ["top", "middle", "bottom"].flatMap((row) => ["left", "centre", "right"].map((column) => `${row} ${column}`));
    const sums = new Float64Array(9);
    template.forEach((weight, j) => {
      const [row, column] = [Math.floor(j / 28), j % 28];
      // The outermost four pixels are paper in nearly every digit.
      if (Math.min(row, column) < 4 || Math.max(row, column) > 23) return;
      sums[3 * Math.floor(3 * (row - 4) / 20) + Math.floor(3 * (column - 4) / 20)] += weight;
    });
    const best = sums.indexOf(Math.max(...sums)), worst = sums.indexOf(Math.min(...sums));
    return best === worst ? `Template of ${digit}: all weights are 0.`
      : `Template of ${digit}: ink at the ${names[best]} speaks most for it, ink at the ${names[worst]} most against it.`;
  }

  async function build(root) {
    const state = lab.recipe(() => ({})); // the worker's memory
    const ask = lab.offload(learn, core, await lab.fetchPart("digits"), lab.scaling, state);
    let rate = 0.01, batchSize = 32, palette = "colours", until = 0;
    const untrained = await ask({ reset: true });
    let training = untrained; // as the worker last told

    const counted = (count, noun) => `${lab.thousands(count)} ${noun}${count === 1 ? "" : "s"}`;
    const percent = (accuracy) => `${(100 * accuracy).toFixed(1)}\u00a0%`;
    const pictures = templates();
    await lab.pause();
    const [costs, drawCosts] = chart("Cost over epochs", [
      ["training cost", "--lab-blue", null, (point) => point.training],
      ["held-out cost", "--lab-orange", "6 4", (point) => point.cost],
    ], costTicks);
    const [accuracies, drawAccuracies] = chart("Held-out accuracy over epochs",
      [["held-out accuracy", "--lab-orange", "6 4", (point) => point.accuracy]],
      () => [0, 25, 50, 75, 100].map((n) => [n / 100, `${n} %`]));

    const numbers = {};
    const table = lab.make("div", { class: "lab-softmax-numbers" }, lab.make("dl", {},
      ["epochs", "steps", "training cost", "held-out cost", "held-out accuracy"].map((name) =>
        lab.make("div", {}, lab.make("dt", {}, name), numbers[name] = lab.make("dd")))));
    const status = lab.status();

    let shown = -1; // the steps after which the charts' last point was measured
    function draw() {
      const { points, weights, time, steps } = training, last = points.at(-1);
      numbers.epochs.textContent = time.toFixed(2);
      numbers.steps.textContent = lab.thousands(steps);
      pictures.draw(weights, palette);
      if (last.steps === shown) return;
      shown = last.steps;
      numbers["training cost"].textContent = last.training === null ? "–" : last.training.toFixed(3);
      numbers["held-out cost"].textContent = last.cost.toFixed(3);
      numbers["held-out accuracy"].textContent = percent(last.accuracy);
      drawCosts(points, `Held-out cost now ${last.cost.toFixed(3)} nats.`);
      drawAccuracies(points, `Now ${percent(last.accuracy)}.`);
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
      const { points, steps, epoch, sizes } = training, last = points.at(-1);
      const [total, held] = sizes.map(lab.thousands);
      status.textContent = steps === 0
        ? `All weights are 0. ${total} digits to learn from, ${held} held out to judge by.`
        : `After ${counted(steps, "step")}, ${counted(epoch, "complete epoch")}: ${last.right} of ${held} `
          + `held-out digits are read right, ${percent(last.accuracy)}; the cost on them is ${last.cost.toFixed(3)} nats.`;
    }

    /* Where motion is not wanted, the pictures change only when training rests. */
    let before = 0, learning = false;
    const motion = lab.animation(root, async (time) => {
      if (!motion.running || learning) return; // this frame was asked for before the pause
      const digits = lab.still.matches ? 2000 : PACE * Math.min(time - before, 50);
      before = time;
      learning = true;
      const told = await ask({ digits, until, batchSize, rate });
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

    const run = lab.button("Run", () => motion.running ? rest() : trainUntil(training.epoch + STRETCH));
    root.append(
      lab.make("div", { class: "lab-row" }, run,
        lab.button("One step", () => rest({ digits: 1 })),
        lab.button("One epoch", () => trainUntil(training.epoch + 1)),
        lab.button("Reset", () => rest({ reset: true }))),
      lab.make("div", { class: "lab-row" },
        lab.slider("Learning rate", {
          min: 0, max: RATES.length - 1, step: 1, value: RATES.indexOf(rate), show: (k) => String(RATES[k]),
        }, (k) => { rate = RATES[k]; }),
        lab.slider("Batch size", {
          min: 0, max: 9, step: 1, value: Math.log2(batchSize), show: (k) => String(2 ** k),
        }, (k) => { batchSize = 2 ** k; }),
        lab.choice("Templates in", [["colours", "red for, blue against"], ["greys", "black for, white against"]], palette,
          (name) => { palette = name; draw(); })),
      pictures.figure, table,
      lab.make("div", { class: "lab-plots" }, costs, accuracies),
      status);
    await lab.pause();
    await rest();
  }

  lab.define("softmax", Object.assign(build, core.build()));
}
