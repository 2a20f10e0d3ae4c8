/* The three trained models, computed in the page: the same numbers as PyTorch's.

   `await lab.load("models")` gives a list of { name, accuracy, logits(image) }, where
   image is a Float32Array(784) as `lab.toInput` makes it; LeNet also has featureMaps. */
"use strict";

lab.define("models", lab.load("weights").then((all) => lab.recipe(function models(weights) {
  function softmax(logits) {
    const largest = Math.max(...logits); // subtracted, so that exp never overflows
    const powers = Array.from(logits, (z) => Math.exp(z - largest));
    const sum = powers.reduce((a, b) => a + b);
    return powers.map((power) => power / sum);
  }

  /* A layer is a function of what comes in; its weights are as PyTorch has them. */
  function linear([weight, bias]) {
    return (x) => bias.values.map((b, j) => {
      let sum = b;
      for (let i = 0, at = j * x.length; i < x.length; i++) sum += weight.values[at + i] * x[i];
      return sum;
    });
  }

  function relu(x) {
    return x.map((value) => Math.max(0, value));
  }

  /* Square maps, one after the other, to square maps. Each entry of a kernel is taken
     once and multiplied with all it meets: long inner loops over consecutive numbers. */
  function convolution([weight, bias]) {
    const [kernels, depth, K] = weight.shape;
    return (x) => {
      const side = Math.sqrt(x.length / depth), S = side - K + 1;
      const out = new Float32Array(kernels * S * S);
      for (let k = 0, entry = 0; k < kernels; k++) {
        const map = out.subarray(k * S * S, (k + 1) * S * S).fill(bias.values[k]);
        for (let d = 0; d < depth; d++) {
          for (let i = 0; i < K; i++) {
            for (let j = 0; j < K; j++) {
              const w = weight.values[entry++];
              for (let row = 0, to = 0; row < S; row++) {
                let from = (d * side + row + i) * side + j;
                for (const end = to + S; to < end;) map[to++] += w * x[from++];
              }
            }
          }
        }
      }
      return out;
    };
  }

  /* The largest of each 2 x 2 window; `maps` says how many maps there are. */
  function pool(maps) {
    return (x) => {
      const side = Math.sqrt(x.length / maps), S = side / 2;
      return new Float32Array(maps * S * S).map((_, n) => {
        const at = 2 * Math.floor(n / S) * side + 2 * (n % S);
        return Math.max(x[at], x[at + 1], x[at + side], x[at + side + 1]);
      });
    };
  }

  /* All layers' outputs, the last one being the logits. */
  function run(layers, x) {
    return layers.map((layer) => (x = layer(x)));
  }

  /* 16-bit floating point: a sign, 5 bits of exponent, 10 of fraction. */
  function halves(base64) {
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float32Array.from({ length: bytes.length / 2 }, (_, n) => {
      const bits = view.getUint16(2 * n, true);
      const exponent = (bits >> 10) & 31, fraction = bits & 1023;
      const size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
      return bits >> 15 ? -size : size;
    });
  }

  const decoded = Object.entries(weights).map(([name, { accuracy, tensors }]) => {
    const all = tensors.map(({ shape, data }) => ({ shape, values: halves(data) }));
    // Each layer has a weight and a bias.
    return { name, accuracy, pairs: all.flatMap((t, n) => (n % 2 ? [] : [[t, all[n + 1]]])) };
  });
  const build = {
    "softmax regression": ([only]) => [linear(only)],
    "multilayer perceptron": ([first, second, third]) =>
      [linear(first), relu, linear(second), relu, linear(third)],
    LeNet: ([first, second, third]) =>
      [convolution(first), pool(20), relu, convolution(second), pool(50), relu, linear(third)],
  };
  const built = decoded.map(({ name, accuracy, pairs }) => {
    const layers = build[name](pairs);
    run(layers, new Float32Array(784)); // browsers compile at the first run: not under a stroke
    return { name, accuracy, logits: (image) => run(layers, image).at(-1), layers };
  });
  const lenet = built.find(({ name }) => name === "LeNet");
  /* What LeNet's two convolutions find, after pooling and ReLU: 20 maps of 12 x 12,
     50 of 4 x 4, one after the other. */
  lenet.featureMaps = (image) => {
    const outputs = run(lenet.layers, image);
    return [{ maps: 20, side: 12, values: outputs[2] }, { maps: 50, side: 4, values: outputs[5] }];
  };
  return { models: built, softmax };
}, all)));
