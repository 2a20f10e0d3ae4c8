/* The trained models, computed in the page: the same numbers as PyTorch's.

   `await lab.load("models")` gives { models, model, softmax }: all of them, or one by
   its name. Each has its name, its accuracy, its layers with their parameters; and of
   an image, a Float32Array(784) as `lab.toInput` makes it, outputs(image), one for each
   layer, logits(image), and featureMaps(image). weights.js lists the layers. */
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

  function network({ layers, ...about }) {
    const full = layers.map(({ weight = "", bias = "", ...settings }) =>
      ({ ...settings, weight: halves(weight), bias: halves(bias) }));
    const built = full.map((layer) => LAYERS[layer.kind](layer));
    const outputs = (image) => {
      let x = stack(1, 28, image);
      return built.map((layer) => (x = layer(x)));
    };
    outputs(new Float32Array(784)); // browsers compile at the first run
    return {
      ...about, layers: full, outputs,
      logits: (image) => outputs(image).at(-1).values,
      /* What convolutions find: the maps that go into another one, or are flattened. */
      featureMaps: (image) => outputs(image).slice(0, -1).filter((_, n) =>
        ["Conv2d", "Flatten"].includes(layers[n + 1].kind)),
    };
  }

  const model = (name) => network({ name, ...weights[name] });
  let all; // made when asked for: a page may need only one of them
  return { model, network, softmax,
    get models() { return (all ??= Object.keys(weights).map(model)); } };
}, all, lab.maths)));
