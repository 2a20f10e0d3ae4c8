/* A multilayer perceptron that learns as you watch. */
"use strict";

lab.define("perceptron", async (root) =>
  (await Promise.all(["learn"].map(lab.load)))[0](root, { hidden: true }));
