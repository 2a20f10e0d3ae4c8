/* Softmax regression that learns as you watch: a network without hidden layers. */
"use strict";

lab.define("softmax", ["learn"], (learn) =>
  (root) => learn(root, { hidden: false }));
