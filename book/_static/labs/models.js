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

    Linear({ weight, bias }) {
      return ({ values }) => stack(bias.length, 1, bias.map((b, j) => {
        let sum = b, at = j * values.length;
        for (const value of values) sum += weight[at++] * value;
        return sum;
      }));
    },

    MaxPool2d({ kernel_size, stride }) {
      return (input) => {
        const S = Math.floor((input.side - kernel_size) / stride) + 1;
        const at = Int32Array.from({ length: input.maps * S * S },
          (_, n) => largest(input, n, S, kernel_size, stride));
        return stack(input.maps, S, Float32Array.from(at, (n) => input.values[n]));
      };
    },

    Conv2d(layer) {
      const { kernel_size, stride, padding, weight, bias } = layer;
      return (input) => {
        const { maps, side, values } = pad(input, padding);
        const S = Math.floor((side - kernel_size) / stride) + 1;
        const out = stack(bias.length, S);
        bias.forEach((b, k) => out.values.fill(b, k * S * S, (k + 1) * S * S));
        meet(layer, maps, side, S, (n, to, from) => {
          for (const end = to + S; to < end; from += stride) {
            out.values[to++] += weight[n] * values[from];
          }
        });
        return out;
      };
    },
  };

  /* Back through a layer with input x and output y: from slopes with respect to what
     comes out, to those with respect to what comes in. */
  const BACK = {
    Flatten: (_, x, y, slopes) => slopes,
    ReLU: (_, x, y, slopes) => slopes.map((s, n) => (y.values[n] > 0 ? s : 0)),
    Tanh: (_, x, y, slopes) => slopes.map((s, n) => s * (1 - y.values[n] ** 2)),

    Linear({ weight }, { values }, y, slopes) {
      const back = new Float32Array(values.length);
      let at = 0;
      for (const s of slopes) for (let i = 0; i < back.length; i++) {
        back[i] += s * weight[at++];
      }
      return back;
    },

    MaxPool2d({ kernel_size, stride }, input, y, slopes) {
      const back = new Float32Array(input.values.length);
      slopes.forEach((s, n) => {
        back[largest(input, n, y.side, kernel_size, stride)] += s;
      });
      return back;
    },

    Conv2d(layer, { maps, side }, y, slopes) {
      const { stride, padding, weight } = layer;
      const back = stack(maps, side + 2 * padding);
      meet(layer, maps, back.side, y.side, (n, at, to) => {
        for (const end = at + y.side; at < end; to += stride) {
          back.values[to] += weight[n] * slopes[at++];
        }
      });
      return back.values.filter((_, n) => [n / back.side, n].every((at) =>
        Math.floor(at) % back.side >= padding
        && Math.floor(at) % back.side < side + padding));
    },
  };

  /* What each entry of a kernel meets, row by row of the outputs: `act` gets its place,
     and where the rows of outputs and of inputs begin. Inner loops over neighbours are
     left to it. */
  function meet({ kernel_size: F, stride, weight }, maps, side, S, act) {
    for (let n = 0; n < weight.length; n++) {
      const k = Math.floor(n / (maps * F * F)), d = Math.floor(n / F ** 2) % maps;
      const first = (d * side + Math.floor(n / F) % F) * side + n % F;
      for (let row = 0; row < S; row++) {
        act(n, (k * S + row) * S, first + stride * row * side);
      }
    }
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
    return Float32Array.from(new Uint16Array(bytes(base64).buffer), (bits) => {
      const exponent = (bits >> 10) & 31, fraction = bits & 1023;
      const size = exponent
        ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
      return bits >> 15 ? -size : size;
    });
  }

  /* A layer's numbers, as they are stored: 8-bit whole numbers of a step, or halves. */
  const numbers = (stored) => (stored.step
    ? Float32Array.from(new Int8Array(bytes(stored.whole).buffer),
      (whole) => whole * stored.step)
    : halves(stored));

  function network({ layers, ...about }) {
    const full = layers.map(({ weight = "", bias = "", ...settings }) =>
      ({ ...settings, weight: numbers(weight), bias: numbers(bias) }));
    const built = full.map((layer) => LAYERS[layer.kind](layer));
    const outputs = (image) => {
      let x = stack(1, 28, image);
      return built.map((layer) => (x = layer(x)));
    };
    outputs(new Float32Array(784)); // browsers compile at the first run
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
