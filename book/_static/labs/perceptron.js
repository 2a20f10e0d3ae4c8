/* A multilayer perceptron that learns as you watch. */
"use strict";

lab.define("perceptron", ["learn"], (learn) =>
  (root) => learn(root, { hidden: true }));
