/* The trained models, computed in the page: the same numbers as PyTorch's.

   `await lab.load("models")` gives { models, model, softmax }: all of them, or one by
   its name. Each has its name, its accuracy, its layers with their parameters; and of
   an image, a Float32Array(784) as `lab.toInput` makes it, outputs(image), one for each
   layer, logits(image), and gradient(image, weights). weights.js lists the layers. */
"use strict";

lab.define("models", lab.load("weights").then((all) =>
lab.recipe(function models(weights, { softmax, bytes }) {
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

    /* The largest number of each window. */
    MaxPool2d({ kernel_size: F, stride }) {
      return ({ maps, side, values }) => {
        const S = Math.floor((side - F) / stride) + 1;
        return stack(maps, S, new Float32Array(maps * S * S).map((_, n) => {
          const map = Math.floor(n / S ** 2), row = Math.floor(n / S) % S;
          const first = (map * side + stride * row) * side + stride * (n % S);
          let largest = -Infinity;
          for (let i = 0; i < F * F; i++) {
            const value = values[first + Math.floor(i / F) * side + i % F];
            if (value > largest) largest = value;
          }
          return largest;
        }));
      };
    },

    /* Each entry of a kernel is taken once and multiplied with all that it meets: long
       inner loops over consecutive numbers. */
    Conv2d({ kernel_size: F, stride, padding, weight, bias }) {
      return (input) => {
        const { maps, side, values } = pad(input, padding);
        const S = Math.floor((side - F) / stride) + 1, out = stack(bias.length, S);
        bias.forEach((b, k) => {
          const map = out.values.subarray(k * S * S, (k + 1) * S * S).fill(b);
          for (let n = 0; n < maps * F * F; n++) {
            const w = weight[k * maps * F * F + n];
            const d = Math.floor(n / F ** 2), i = Math.floor(n / F) % F, j = n % F;
            for (let row = 0, to = 0; row < S; row++) {
              let from = (d * side + stride * row + i) * side + j;
              for (const end = to + S; to < end; from += stride) {
                map[to++] += w * values[from];
              }
            }
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

    /* All to the first of the largest, as in PyTorch. */
    MaxPool2d({ kernel_size: F, stride }, { side, values }, y, slopes) {
      const back = new Float32Array(values.length);
      slopes.forEach((s, n) => {
        const map = Math.floor(n / y.side ** 2), row = Math.floor(n / y.side) % y.side;
        const first = (map * side + stride * row) * side + stride * (n % y.side);
        let i = 0;
        const at = () => first + Math.floor(i / F) * side + i % F;
        while (values[at()] !== y.values[n]) i++;
        back[at()] += s;
      });
      return back;
    },

    Conv2d({ kernel_size: F, stride, padding, weight }, { maps, side }, y, slopes) {
      const back = stack(maps, side + 2 * padding), S = y.side;
      for (let n = 0; n < weight.length; n++) {
        const w = weight[n], k = Math.floor(n / (maps * F * F));
        const d = Math.floor(n / F ** 2) % maps, i = Math.floor(n / F) % F, j = n % F;
        for (let row = 0, at = k * S * S; row < S; row++) {
          let to = (d * back.side + stride * row + i) * back.side + j;
          for (const end = at + S; at < end; to += stride) {
            back.values[to] += w * slopes[at++];
          }
        }
      }
      return back.values.filter((_, n) => [n / back.side, n].every((at) =>
        Math.floor(at) % back.side >= padding
        && Math.floor(at) % back.side < side + padding));
    },
  };

  /* Zeros around each map. */
  function pad(input, padding) {
    if (!padding) return input;
    const { maps, side, values } = input, out = stack(maps, side + 2 * padding);
    for (let map = 0; map < maps; map++) {
      for (let row = 0; row < side; row++) {
        const from = (map * side + row) * side;
        const to = (map * out.side + row + padding) * out.side + padding;
        out.values.set(values.subarray(from, from + side), to);
      }
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

  const model = (name) => network({ name, ...weights[name] });
  let all; // made when asked for: a page may need only one of them
  return { model, network, softmax,
    get models() { return (all ??= Object.keys(weights).map(model)); } };
}, all, lab.maths)));
