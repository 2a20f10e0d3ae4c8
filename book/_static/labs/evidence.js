/* Why a digit, and not another: their scores' difference, where the last layer is
   linear. */
"use strict";

{
  const { make, sum } = lab;

  /* The score of a minus that of b is a sum: of what a blank page has of it already,
     and of what each of the layer's inputs adds. */
  function evidence({ weight, bias }, inputs, blank, a, b) {
    const count = inputs.length;
    const weights = Float64Array.from(inputs, (_, n) =>
      weight[a * count + n] - weight[b * count + n]);
    const page = bias[a] - bias[b] + sum(weights.map((w, n) => w * blank[n]));
    return { weights, page, added: weights.map((w, n) => w * (inputs[n] - blank[n])) };
  }

  /* Two lists to choose a and b from; as long as nobody does, they are the answer and
     the runner-up. `change` is called when they are others. */
  function rivals(change) {
    const chosen = [null, null];
    const list = (text, auto, n) => lab.choice(text, [["", auto], ..."0123456789"], "",
      (digit) => {
        chosen[n] = digit ? Number(digit) : null;
        change();
      });
    return {
      element: lab.row(list("Why", "the answer", 0),
        list("and not", "the runner-up", 1)),
      of(scores) {
        const best = [...scores.keys()].sort((m, n) => scores[n] - scores[m]);
        const a = chosen[0] ?? best.find((n) => n !== chosen[1]);
        return [a, chosen[1] ?? best.find((n) => n !== a)];
      },
    };
  }

  lab.define("evidence", { evidence, rivals });
}
