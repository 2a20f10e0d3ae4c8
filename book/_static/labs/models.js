/* The trained models, computed in the page: the same numbers as PyTorch's.

   `await lab.load("models")` gives { models, model, softmax }: all of them, or one by
   its name. Each has its name, its accuracy, its layers with their parameters; and of
   an image, a Float32Array(784) as `lab.toInput` makes it, outputs(image), one for each
   layer, logits(image), and gradient(image, weights). weights.js lists the layers. */
"use strict";

lab.define("models", ["weights", "maths"],
function models(weights, { softmax, bytes, clamp }) {
  /* What layers take and give: square maps, one after the other. */
  const stack = (maps, side, values = new Float32Array(maps * side ** 2)) =>
    ({ maps, side, values });

  const each = (f) => () => ({ maps, side, values }) =>
    stack(maps, side, values.map(f));

  /* Makers of layers, each a function of what comes in. */
  const LAYERS = {
    Flatten: () => ({ values }) => stack(values.length, 1, values),
    ReLU: each((value) => Math.max(0, value)),
    Tanh: each(Math.tanh),

    Linear: (layer) => ({ values }) => {
      const out = stack(layer.bias.length, 1);
      forward(layer, values, out.values, 0, 1);
      return out;
    },

    MaxPool2d({ kernel_size, stride }) {
      return (input) => {
        const S = Math.floor((input.side - kernel_size) / stride) + 1;
        const at = Int32Array.from({ length: input.maps * S * S },
          (_, n) => largest(input, n, S, kernel_size, stride));
        return stack(input.maps, S, Float32Array.from(at, (n) => input.values[n]));
      };
    },

    /* A linear layer, of what is in the window at each of its places. */
    Conv2d: (layer) => (input) => {
      const { values, S, offsets, first } = windows(layer, input);
      const out = stack(layer.bias.length, S);
      const window = new Float32Array(offsets.length);
      for (let n = 0; n < S * S; n++) {
        for (let i = 0; i < window.length; i++) {
          window[i] = values[first(n) + offsets[i]];
        }
        forward(layer, window, out.values, n, S * S);
      }
      return out;
    },
  };

  /* Back through a layer with input x and output y: from slopes with respect to what
     comes out, to those with respect to what comes in. */
  const BACK = {
    Flatten: (_, x, y, slopes) => slopes,
    ReLU: (_, x, y, slopes) => slopes.map((s, n) => (y.values[n] > 0 ? s : 0)),
    Tanh: (_, x, y, slopes) => slopes.map((s, n) => s * (1 - y.values[n] ** 2)),

    Linear: (layer, { values }, y, slopes) =>
      backward(layer, new Float32Array(values.length), slopes, 0, 1),

    MaxPool2d({ kernel_size, stride }, input, y, slopes) {
      const back = new Float32Array(input.values.length);
      slopes.forEach((s, n) => {
        back[largest(input, n, y.side, kernel_size, stride)] += s;
      });
      return back;
    },

    Conv2d(layer, input, y, slopes) {
      const { values, side, S, offsets, first } = windows(layer, input);
      const back = new Float32Array(values.length);
      const window = new Float32Array(offsets.length);
      for (let n = 0; n < S * S; n++) {
        backward(layer, window.fill(0), slopes, n, S * S);
        window.forEach((slope, i) => { back[first(n) + offsets[i]] += slope; });
      }
      const end = side - layer.padding;
      const within = (at) => at >= layer.padding && at < end;
      return back.filter((_, n) =>
        within(n % side) && within(Math.floor(n / side) % side));
    },
  };

  /* Each output is a weighted sum of x; they stand so far apart, from `at` on. */
  function forward({ weight, bias }, x, out, at, pitch) {
    for (let k = 0, n = 0; k < bias.length; k++, at += pitch) {
      let sum = bias[k];
      for (let i = 0; i < x.length; i++) sum += weight[n++] * x[i];
      out[at] = sum;
    }
  }

  /* What the slopes of those outputs add to the slopes in x. */
  function backward({ weight }, x, slopes, at, pitch) {
    for (let n = 0; n < weight.length; n += x.length, at += pitch) {
      const slope = slopes[at];
      if (!slope) continue; // as most are, behind pooling
      for (let i = 0; i < x.length; i++) x[i] += slope * weight[n + i];
    }
    return x;
  }

  /* What the windows of a convolution see: where the n-th of S x S begins, and how far
     from there each of its numbers is. */
  function windows({ kernel_size: F, stride, padding }, input) {
    const { maps, side, values } = pad(input, padding);
    const S = Math.floor((side - F) / stride) + 1;
    const first = (n) => stride * (Math.floor(n / S) * side + n % S);
    const offsets = Int32Array.from({ length: maps * F * F }, (_, n) =>
      (Math.floor(n / F ** 2) * side + Math.floor(n / F) % F) * side + n % F);
    return { values, side, S, offsets, first };
  }

  /* Where the largest number of a window is, the first one in a tie, as in PyTorch. */
  function largest({ side, values }, n, S, F, stride) {
    const map = Math.floor(n / S ** 2), row = Math.floor(n / S) % S;
    const first = (map * side + stride * row) * side + stride * (n % S);
    let best = first;
    for (let i = 1; i < F * F; i++) {
      const at = first + Math.floor(i / F) * side + i % F;
      if (values[at] > values[best]) best = at;
    }
    return best;
  }

  /* Zeros around each map. */
  function pad({ maps, side, values }, padding) {
    const out = stack(maps, side + 2 * padding);
    for (let row = 0; row < maps * side; row++) {
      const below = row + padding * (1 + 2 * Math.floor(row / side));
      const own = values.subarray(row * side, (row + 1) * side);
      out.values.set(own, below * out.side + padding);
    }
    return out;
  }

  /* 16-bit floating point: a sign, 5 bits of exponent, 10 of fraction. */
  function halves(base64) {
    return new Float32Array(new Uint16Array(bytes(base64).buffer)).map((bits) => {
      const exponent = (bits >> 10) & 31, fraction = bits & 1023;
      const size = exponent
        ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
      return bits >> 15 ? -size : size;
    });
  }

  /* A layer's numbers, as they are stored: 8-bit whole numbers of a step, or halves. */
  const numbers = (stored) => (stored.step
    ? new Float32Array(new Int8Array(bytes(stored.whole).buffer))
      .map((whole) => whole * stored.step)
    : halves(stored));

  function network({ layers, ...about }) {
    const full = layers.map(({ weight = "", bias = "", ...settings }) =>
      ({ ...settings, weight: numbers(weight), bias: numbers(bias) }));
    const built = full.map((layer) => LAYERS[layer.kind](layer));
    const outputs = (image) => {
      let x = stack(1, 28, image);
      return built.map((layer) => (x = layer(x)));
    };
    return {
      ...about, layers: full, outputs,
      logits: (image) => outputs(image).at(-1).values,
      /* The slopes of a sum of the logits, each with its weight, in the pixels. */
      gradient(image, weights) {
        const values = [stack(1, 28, image), ...outputs(image)];
        return full.reduceRight((slopes, layer, n) =>
          BACK[layer.kind](layer, values[n], values[n + 1], slopes), weights);
      },
    };
  }

  /* Grey levels, each a step up, down or neither. */
  const stepped = (levels, signs, step) =>
    levels.map((level, n) => clamp(level + step * signs[n], 0, 255));

  const model = (name) => network({ name, ...weights[name] });
  let all; // made when asked for: a page may need only one of them
  return { model, network, softmax, stepped,
    get models() { return (all ??= Object.keys(weights).map(model)); } };
});
