/* Networks of linear layers that learn in the page, step by step as torch.optim.SGD
   does. Softmax regression is the one without hidden layers. */
"use strict";

lab.define("training", ["maths"], function training(maths) {
  const { toInput, logSumExp, softmax, argmax, clamp } = maths;
  const INTERVAL = 1000; // digits from one point of the curves to the next; or an epoch
  const LOOKED_AT = 200; // digits, for the histograms
  const [PAPER, INK] = toInput([0, 255]);

  /* Digits as training wants them. Most pixels are paper, and paper is the same number
     everywhere: only the inked ones are listed, with what they are more than paper. */
  function inked({ images, labels }) {
    const lists = Array.from(labels, (_, n) => {
      const greys = images.subarray(784 * n, 784 * (n + 1));
      const at = Uint16Array.from(greys.keys()).filter((i) => greys[i]);
      const values = Float64Array.from(at, (i) => (INK - PAPER) * greys[i] / 255);
      return { at, values };
    });
    return { lists, labels };
  }

  /* What a unit makes of its sum a, and the slope there, from what it made. */
  const ACTIVATIONS = {
    ReLU: [(a) => Math.max(0, a), (h) => (h > 0 ? 1 : 0)],
    Tanh: [Math.tanh, (h) => 1 - h * h],
    Sigmoid: [(a) => 1 / (1 + Math.exp(-a)), (h) => h * (1 - h)],
    Identity: [(a) => a, () => 1],
  };

  /* The standard deviation of first weights, for a layer with n inputs. */
  const STARTS = {
    he: (n) => Math.sqrt(2 / n), small: () => 0.01, large: () => 1, zero: () => 0,
  };

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

  /* With a normal distribution (Box and Muller's way). */
  const normal = (random) => Math.sqrt(-2 * Math.log(1 - random()))
    * Math.cos(2 * Math.PI * random());

  function shuffle(order, random) {
    for (let k = order.length - 1; k > 0; k--) {
      const other = Math.floor(random() * (k + 1));
      [order[k], order[other]] = [order[other], order[k]];
    }
  }

  /* The weight from input i to unit j is weights[outputs * i + j], so that the inner
     loops run over neighbours. An input is a list: which numbers are not `ground`, and
     by how much. */
  class Linear {
    constructor(inputs, outputs, ground, draw) {
      Object.assign(this, { inputs, outputs, ground });
      this.weights = Float64Array.from({ length: inputs * outputs }, draw);
      this.biases = new Float64Array(outputs);
      this.slopes = [new Float64Array(inputs * outputs), new Float64Array(outputs)];
      this.velocities = [this.weights, this.biases].map((all) => all.map(() => 0));
      this.sums = new Float64Array(outputs);
      this.addGround();
    }

    /* What a digit without ink gives. */
    addGround() {
      const { inputs, outputs, weights, ground } = this;
      this.blank = Float64Array.from(this.biases);
      if (!ground) return;
      for (let i = 0, k = 0; i < inputs; i++) {
        for (let j = 0; j < outputs; j++) this.blank[j] += ground * weights[k++];
      }
    }

    forward({ at, values }) {
      const { outputs, weights, sums } = this;
      sums.set(this.blank);
      for (let n = 0; n < at.length; n++) {
        const x = values[n], from = outputs * at[n];
        for (let j = 0; j < outputs; j++) sums[j] += x * weights[from + j];
      }
      return sums;
    }

    /* From the slopes with respect to the sums: those of the parameters, added to
       `slopes`, and of the listed inputs, put into `back`. */
    backward({ at, values }, delta, back) {
      const { outputs, weights, slopes: [ofWeights, ofBiases] } = this;
      for (let j = 0; j < outputs; j++) ofBiases[j] += delta[j];
      for (let n = 0; n < at.length; n++) {
        const x = values[n], from = outputs * at[n];
        for (let j = 0; j < outputs; j++) ofWeights[from + j] += x * delta[j];
        if (!back) continue;
        let sum = 0;
        for (let j = 0; j < outputs; j++) sum += weights[from + j] * delta[j];
        back[at[n]] = sum;
      }
    }

    /* The ground's part, the same for all inputs, is added after a batch. */
    finish() {
      const { inputs, outputs, ground, slopes: [ofWeights, ofBiases] } = this;
      if (!ground) return;
      for (let i = 0, k = 0; i < inputs; i++) {
        for (let j = 0; j < outputs; j++) ofWeights[k++] += ground * ofBiases[j];
      }
    }

    /* v = momentum v + slope + decay w; w = w − rate v. The velocities of dead units
       die away; as 0 they are quicker than as the smallest numbers there are. */
    update(rate, momentum, decay) {
      [this.weights, this.biases].forEach((all, which) => {
        const slopes = this.slopes[which], velocities = this.velocities[which];
        for (let k = 0; k < all.length; k++) {
          const v = momentum * velocities[k] + slopes[k] + decay * all[k];
          velocities[k] = Math.abs(v) < 1e-40 ? 0 : v;
          all[k] -= rate * v;
        }
      });
      this.addGround();
    }
  }

  class Network {
    /* `hidden` has the number of units of each hidden layer. */
    constructor({ hidden, activation, start = "zero" }, random = randomNumbers()) {
      const sizes = [784, ...hidden, 10];
      [this.f, this.slope] = ACTIVATIONS[activation];
      this.layers = sizes.slice(1).map((outputs, k) => new Linear(
        sizes[k], outputs, k ? 0 : PAPER,
        () => STARTS[start](sizes[k]) * (start === "zero" ? 0 : normal(random))));
    }

    /* The logits of a digit; each layer's input is kept, in `inputs`. */
    forward(list) {
      this.inputs = [list];
      return this.layers.reduce((x, layer, k) => {
        const sums = layer.forward(x);
        if (k === this.layers.length - 1) return sums;
        return (this.inputs[k + 1] = this.activate(sums));
      }, list);
    }

    /* The list of a hidden layer's outputs; what is 0 and flat there is left out, since
       nothing goes through it, forwards or backwards. */
    activate(sums) {
      const at = [], values = [];
      for (let j = 0; j < sums.length; j++) {
        const h = this.f(sums[j]);
        if (h === 0 && this.slope(h) === 0) continue;
        at.push(j);
        values.push(h);
      }
      return { at, values };
    }

    /* Leave the gradient of the mean cost of the digits named by `rows` in the layers;
       returns that cost, and how many were read right. `visit` may look at each. */
    gradient({ lists, labels }, rows, visit) {
      let cost = 0, right = 0;
      for (const { slopes } of this.layers) for (const all of slopes) all.fill(0);
      for (const n of rows) {
        const z = this.forward(lists[n]), logSum = logSumExp(z);
        visit?.(this.inputs);
        cost += (logSum - z[labels[n]]) / rows.length;
        right += argmax(z) === labels[n];
        // y − l, probability minus truth
        let delta = z.map((score, digit) =>
          (Math.exp(score - logSum) - (digit === labels[n])) / rows.length);
        for (let k = this.layers.length - 1; k >= 0; k--) {
          const layer = this.layers[k], { at, values } = this.inputs[k];
          const back = k ? new Float64Array(layer.inputs) : null;
          layer.backward(this.inputs[k], delta, back);
          for (let n = 0; k && n < at.length; n++) back[at[n]] *= this.slope(values[n]);
          delta = back;
        }
      }
      for (const layer of this.layers) layer.finish();
      return { cost, right };
    }

    step(set, rows, { rate, momentum = 0, decay = 0 }) {
      const told = this.gradient(set, rows);
      for (const layer of this.layers) layer.update(rate, momentum, decay);
      return told;
    }

    /* The mean cost over all digits, and how many are read right. */
    evaluate({ lists, labels }) {
      let cost = 0, right = 0;
      lists.forEach((list, n) => {
        const z = this.forward(list);
        cost += (logSumExp(z) - z[labels[n]]) / labels.length;
        right += argmax(z) === labels[n];
      });
      return { cost, right, accuracy: right / labels.length };
    }

    answer(list) {
      const y = softmax(this.forward(list)), digit = argmax(y);
      return { digit, share: y[digit] };
    }

    /* What the layers do with the first digits of a set: histograms of what the hidden
       units put out, and of the logarithms of the gradient; and where a unit is flat,
       with less than a hundredth of the activation's largest slope. */
    look(set) {
      const rows = [...set.labels.keys()].slice(0, LOOKED_AT);
      const limit = Math.max(...[-1, 0, 0.5, 1].map(this.slope)) / 100;
      const layers = this.layers.map(({ outputs }) =>
        ({ outputs: [], flat: 0, awake: new Set(), units: outputs }));
      this.gradient(set, rows, (inputs) => inputs.slice(1).forEach((input, k) => {
        const layer = layers[k];
        layer.flat += layer.units - input.at.length;
        input.at.forEach((j, m) => {
          const h = input.values[m];
          if (h) layer.outputs.push(h);
          if (this.slope(h) < limit) layer.flat += 1;
          else layer.awake.add(j);
        });
      }));
      return layers.map(({ outputs, flat, awake, units }, k) => {
        const logs = Array.from(this.layers[k].slopes[0].filter((slope) => slope),
          (slope) => Math.log10(Math.abs(slope)));
        const [low, high] = extent(outputs);
        return {
          units, outputs: histogram(outputs, low, high), low, high,
          gradient: histogram(logs, -8, 1), flat: flat / rows.length / units,
          digits: rows.length,
          dead: k < layers.length - 1
            ? [...Array(units).keys()].filter((j) => !awake.has(j)) : [],
        };
      });
    }
  }

  const extent = (values) => values.reduce(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)], [0, 1e-9]);

  /* Shares of the values in equal steps; what lies outside counts at the end. */
  function histogram(values, low, high, steps = 36) {
    const shares = new Float64Array(steps);
    for (const value of values) {
      const step = Math.floor(steps * (value - low) / (high - low));
      shares[clamp(step, 0, steps - 1)] += 1 / values.length;
    }
    return shares;
  }

  /* A training run that can be stopped after any batch; the same after each `new`. */
  class Training {
    constructor(train, held, settings) {
      const random = randomNumbers();
      const network = new Network(settings, random);
      Object.assign(this, { train, held, random, network });
      this.order = []; // of this epoch's digits
      this.seen = 0; // of these; all of them: shuffle first
      this.epoch = 0; // complete epochs
      this.steps = 0;
      this.points = []; // what the curves show
      this.since = { cost: 0, right: 0, digits: 0 }; // the last point
      this.diverged = false;
      this.record();
    }

    /* Epochs, with the part of the present one. */
    get time() {
      const { epoch, seen, order } = this;
      return epoch + (order.length && seen % order.length / order.length);
    }

    get interval() { return Math.min(INTERVAL, this.train.labels.length); }

    step({ batch, ...options }) {
      const { train, since } = this;
      if (this.seen === this.order.length) {
        this.order = Uint32Array.from(train.labels.keys());
        shuffle(this.order, this.random);
        this.seen = 0;
      }
      const rows = this.order.subarray(this.seen, this.seen + batch);
      const { cost, right } = this.network.step(train, rows, options);
      this.diverged = !Number.isFinite(cost);
      if (this.diverged) return;
      since.cost += cost * rows.length;
      since.right += right;
      since.digits += rows.length;
      this.seen += rows.length;
      this.steps += 1;
      if (this.seen === this.order.length) this.epoch += 1;
      if (since.digits >= this.interval) this.record();
    }

    /* Measure on the held-out digits, and note how the batches since went. What is
       measured in between, when a run rests, makes room for the next. */
    record() {
      const { time, steps, points, since, network } = this;
      if (points.at(-1)?.steps === steps) return;
      if (points.at(-1)?.between) points.pop();
      const { cost, right, accuracy } = network.evaluate(this.held);
      this.diverged = !Number.isFinite(cost);
      if (this.diverged) return;
      const mean = (sum) => (since.digits ? sum / since.digits : null);
      const between = steps > 0 && since.digits < this.interval;
      points.push({ time, steps, training: mean(since.cost), learned: mean(since.right),
        cost, right, accuracy, between });
      if (!between) this.since = { cost: 0, right: 0, digits: 0 };
      this.layers = network.look(this.train);
    }
  }

  return { inked, Network, Training };
});
