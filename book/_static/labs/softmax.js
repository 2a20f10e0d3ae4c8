/* Softmax regression that learns as you watch: a network without hidden layers. */
"use strict";

lab.define("softmax", async (root) =>
  (await Promise.all(["learn"].map(lab.load)))[0](root, { hidden: false }));
