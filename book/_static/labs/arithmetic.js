/* Convolution and pooling in numbers: what torch.nn.functional computes, spelled out.

   A map is an array of rows; an input x is an array of D maps, its slices; the kernels
   w are K arrays of D slices of F rows of F weights. */
"use strict";

{
  const { sum } = lab;
  const fill = (count, value) => Array.from({ length: count }, (_, i) => value(i));

  /* How many windows fit along a side; 0 or less when not even one does. */
  const outputSize = (W, F, S = 1, P = 0) => Math.floor((W - F + 2 * P) / S) + 1;

  /* Zeros around a map. */
  const pad = (map, P) => fill(map.length + 2 * P, (r) =>
    fill(map[0].length + 2 * P, (c) => map[r - P]?.[c - P] ?? 0));

  /* The F x F numbers that the output in row r and column c sees. */
  const windowAt = (map, r, c, F, S) =>
    map.slice(S * r, S * r + F).map((row) => row.slice(S * c, S * c + F));

  /* One number for each window of a map. */
  const eachWindow = (map, F, S, answer) =>
    fill(Math.max(0, outputSize(map.length, F, S)), (r) =>
      fill(Math.max(0, outputSize(map[0].length, F, S)), (c) => answer(r, c)));

  /* A window and a kernel's slice, entry by entry. */
  const products = (window, weights) =>
    window.map((row, u) => row.map((x, v) => x * weights[u][v]));

  function conv2d(x, w, b, S = 1, P = 0) {
    const padded = x.map((slice) => pad(slice, P)), F = w[0][0].length;
    return w.map((kernel, k) => eachWindow(padded[0], F, S, (r, c) =>
      b[k] + sum(kernel.map((weights, d) =>
        sum(products(windowAt(padded[d], r, c, F, S), weights).flat())))));
  }

  const maxPool = (map, F, S = F) => eachWindow(map, F, S, (r, c) =>
    Math.max(...windowAt(map, r, c, F, S).flat()));

  const avgPool = (map, F, S = F) => eachWindow(map, F, S, (r, c) =>
    sum(windowAt(map, r, c, F, S).flat()) / F ** 2);

  lab.define("arithmetic",
    { fill, outputSize, pad, windowAt, products, conv2d, maxPool, avgPool });
}
