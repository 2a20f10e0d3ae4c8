/* Digits of the reader's own, for a network to learn from. */
"use strict";

{
  const { make, button } = lab;
  const HELP_ID = "lab-own-help";

  /* A fold with a pad, loaded when it is wanted. `add` takes a digit, its levels and
     its label, and says what became of it; `figure` shows all of them. */
  function ownDigits(figure, add) {
    let label = "";
    async function open() {
      const { drawingPad, framer } = await lab.load("pad");
      const framed = await framer(), line = lab.status();
      const say = (text) => { line.textContent = text; };
      const pad = drawingPad({ described: HELP_ID, busy: fold,
        answer: () => line.textContent.startsWith("Added") || say("") });
      const which = lab.choice("It is a", [["", "choose"], ..."0123456789"], label,
        (digit) => { label = digit; });
      async function take() {
        const question = pad.question();
        if (!question) return say("The pad is empty: draw a digit first.");
        if (!label) return say("Choose which digit it is.");
        try {
          const levels = await framed(question), digit = Number(label);
          if (!label) return; // it was pressed twice
          pad.clear();
          which.children[1].value = label = "";
          say(await add({ levels, label: digit }));
        } catch ({ message }) {
          say(`The drawing ${message}`);
        }
      }
      fold.append(
        make("p", { id: HELP_ID }, "Draw with mouse, pen or finger, or with the arrow "
          + "keys and the space bar. What you add is one more digit to learn from."),
        lab.row(pad.element, make("div", which, lab.row(
          button("Add to the training digits", take), pad.buttons))),
        line, figure);
    }
    const fold = make("details", make("summary", "Add digits of your own"));
    fold.ontoggle = () => {
      fold.ontoggle = null;
      open().catch(({ message }) => fold.append(
        make("p.lab-status", `The pad could not start (${message}).`)));
    };
    return fold;
  }

  lab.define("own", { ownDigits });
}
