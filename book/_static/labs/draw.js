/* Draw a digit: the models read it while it is drawn. The pad opens on one that is
   written before the reader's eyes. */
"use strict";

lab.define("draw", ["pad", "pixels", "examples"], (
  { HARD, program, pixels, drawingPad }, { INK, paper, paint, image },
  { accuracies, digits },
) => {
  const { make, button, percent, argmax } = lab;
  const BLANK =
    "The pad is blank: draw a digit, and the models read it while you draw.";
  const OPENING = 15; // of the examples: the three models don't agree about it
  const opening = digits[OPENING];
  const WRITING = 1800, PATIENCE = 1000; // ms
  const HELP = "With keys: arrows move the pen, space puts it down or lifts it, Escape "
    + "clears. Or upload, paste or drop a picture of one digit, or pick one of MNIST’s "
    + "test digits; softmax regression misreads the hard ones.";

  /* The three answers, large; and a table, ten rows of probabilities, a column for each
     model. All stays in its place and only says something else: a phone's processor
     would take longer to make it anew than the models take to read. */
  function readings(accuracies) {
    const names = Object.keys(accuracies), digits = [..."0123456789"];
    const write = (element, text) => {
      if (element.textContent !== text) element.textContent = text;
    };
    /* A share in words and as a bar. */
    function gauge() {
      const words = make("span"), bar = make("span.lab-draw-bar");
      const say = (share, none) => {
        write(words, share === undefined ? none : percent(share));
        bar.style.width = `${100 * (share ?? 0)}%`;
      };
      return { parts: [words, bar], say };
    }
    const large = names.map(() => ({ digit: make("span.lab-draw-answer"), ...gauge() }));
    const answers = make("dl.lab-draw-answers", names.map((name, m) =>
      make("div", make("dt", name), make("dd", large[m].digit, large[m].parts))));
    const gauges = digits.map(() => names.map(gauge));
    const cells = gauges.map((row) => row.map(({ parts }) => make("td", parts)));
    const heads = names.map((name) =>
      [name, make("small", `test accuracy ${percent(accuracies[name], 2)}`)]);
    const table = make("table.lab-draw-table",
      make("caption", "What the models read, and the probability of each digit"),
      lab.heading("digit", ...heads),
      make("tbody", digits.map((digit, n) =>
        make("tr", make("th", { scope: "row" }, digit), cells[n]))));

    /* The ten probabilities of each model; none where nothing is read. */
    function show(read = []) {
      names.forEach((_, m) => {
        const best = read[m] && argmax(read[m]);
        write(large[m].digit, String(best ?? "–"));
        large[m].say(read[m]?.[best], "");
        digits.forEach((_, n) => {
          gauges[n][m].say(read[m]?.[n], "–");
          cells[n][m].classList.toggle("lab-draw-best", n === best);
        });
      });
    }
    show();
    return { table, answers, show };
  }

  /* What the preview shows, in words. */
  function words(levels = []) {
    const ink = Array.from(levels.keys()).filter((n) => levels[n] > 50);
    if (!ink.length) return "What the models see: nothing yet.";
    const span = (places) => `${Math.min(...places) + 1} to ${Math.max(...places) + 1}`;
    const rows = ink.map((n) => Math.floor(n / 28)), columns = ink.map((n) => n % 28);
    return "What the models see: ink in "
      + `rows ${span(rows)} and columns ${span(columns)} of 28.`;
  }

  /* What the worker does with a picture, or with what is to be framed and read. */
  const work = (framing, models, { toInput }) =>
    function* read({ picture, detector, ...asked }) {
      if (picture) return framing.grey(picture);
      const levels = framing.frameOfPad(asked);
      yield;
      const input = toInput(levels), probabilities = [];
      for (const model of models.models) {
        probabilities.push(models.softmax(model.logits(input)));
        yield;
      }
      if (detector) models.detector ??= models.network(detector);
      const strange = detector && models.detector.logits(input)[0] > 0;
      return { levels, probabilities, strange };
    };

  /* The worker; without the models, each question is answered with a sentence. */
  async function reading() {
    try {
      lab.ask("weights"); // they take longest: not only when models.js is here to ask
      return await lab.offload(work, "framing", "models", "maths");
    } catch ({ message }) {
      return () => Promise.reject(new Error(
        `cannot be read: the models did not arrive (${message}); reload the page.`));
    }
  }

  return (root) => {
    let arrived = false; // on a slow network the pad is there before the models
    const reader = reading().finally(() => { arrived = true; });
    const help = make("p", { id: "lab-draw-help" }, HELP);
    const [preview] = paper(28, 28, { class: "lab-draw-preview", role: "img" });
    const { answers, table, show } = readings(accuracies);
    const pad = drawingPad({ described: help.id, busy: answers, answer });
    const line = lab.status("lab-draw-line");
    const framed =
      make("input", { type: "checkbox", checked: "", onchange: pad.changed });
    const upload = make("input", { type: "file", accept: "image/*", hidden: "",
      onchange() {
        take(upload.files[0]);
        upload.value = ""; // so that the same file can be chosen again
      } });
    let seen; // what the models read last
    let read = {}; // what they said of it; whether it is the reader's own, and whole
    let late; // the mark that a picture came too late for
    let newest = null; // an earlier file that takes longer must not come after it
    async function take(file) {
      if (!file) return;
      newest = file;
      const { last } = pad;
      if (!arrived) line.say("The models are on their way; the picture will follow.", 0);
      try {
        const sheet = await (await reader)({ picture: await pixels(file) });
        const canvas = image(sheet.grey, sheet.width, sheet.height);
        if (file !== newest) return;
        if (!pad.last || pad.last === last || pad.last.opening) {
          pad.show({ sheet, canvas });
        } else {
          late = pad.last;
          pad.changed();
        }
      } catch ({ message }) {
        if (file !== newest) return;
        line.say(`The file ${message} The pad stays as it was.`, 0);
      }
    }
    document.addEventListener("paste", ({ target, clipboardData }) => {
      if (target.closest?.(":read-write")) return;
      take([...clipboardData.files].find(({ type }) => type.startsWith("image/")));
    });
    Object.assign(root, {
      ondragover(event) { event.preventDefault(); }, // it may be dropped here
      ondrop(event) {
        event.preventDefault();
        take(event.dataTransfer.files[0]);
      },
    });

    let detector, detecting = false; // it comes when there is something to detect
    async function detect() {
      if (detecting) return;
      detecting = true;
      detector = await lab.load("detector").catch(() => null);
      pad.changed();
    }
    async function answer(last) {
      const asked = pad.question(framed.checked), whole = !pad.drawing;
      let said = {}, text = BLANK;
      if (asked && !arrived) {
        line.say("The models are on their way: draw meanwhile.", 0);
      }
      try {
        if (asked) {
          // It knows framed pictures; levels that are given are MNIST's, or unframed.
          const framedHere = !asked.levels || (last.own && framed.checked);
          if (framedHere) detect();
          said = await (await reader)({ ...asked, detector: framedHere && detector });
        }
      } catch ({ message }) {
        text = `The ${last.canvas ? "picture" : "drawing"} ${message}`;
      }
      const { levels, probabilities } = said;
      seen = levels;
      read = { ...said, own: whole && !last.key && !last.opening };
      paint(preview, levels ?? new Uint8Array(784), 255, INK);
      preview.setAttribute("aria-label", words(levels));
      show(probabilities);
      if (last.unfinished) return; // it is said when the digit is whole
      if (!pad.drawing) leadInside();
      if (probabilities) {
        text = Object.keys(accuracies).map((name, m) => {
          const y = probabilities[m], best = argmax(y);
          return `${name} reads ${best} (${percent(y[best])})`;
        }).join(", ");
        text = said.strange
          ? `This looks like no digit. If it is one, ${text}.`
          : `${text[0].toUpperCase()}${text.slice(1)}.`;
        if (last.key) {
          const from = `A real ${digits[last.key].label}, from MNIST's test digits.`;
          text = `${from} ${text}${last.opening ? " Draw your own." : ""}`;
        }
      }
      const note = last === late
        ? "The picture came after your drawing: choose it again. " : "";
      if (!pad.drawing) line.say(note + pad.pen + text, 400);
    }
    /* The opening digit is written once, as soon as the models can read along, or after
       a moment; whoever touches the pad has it. */
    async function write() {
      const [levels, when] = [opening.image, opening.written].map(lab.bytes);
      let begun = null;
      const replay = lab.animation(root, (time) => {
        begun ??= time;
        const written = (time - begun) / WRITING;
        if (begun === time ? pad.last : !pad.last?.opening) replay.stop();
        else if (written >= 1) {
          replay.stop();
          pad.showDigit(String(OPENING), true);
        } else {
          const part = levels.map((level, n) => (when[n] <= 255 * written ? level : 0));
          pad.showLevels(part, { opening: true, unfinished: true });
        }
      });
      await Promise.race([reader, new Promise((go) => setTimeout(go, PATIENCE))]);
      if (!pad.question()) replay.start();
    }

    /* To the chapter on LeNet, with this digit in its figure. */
    const chapter = `${lab.folder}../../notebooks/07_lenet.html`;
    const inside = make("a", { href: chapter }, "Look inside LeNet");
    async function leadInside() {
      const { address } = await lab.load("share");
      const digit = state.get(), controls = digit ? [] : [pad.picker.children[1].value];
      inside.href = await address(chapter, "lenet", { controls, own: { digit } });
    }

    let hard = OPENING;
    const another = button("Another hard one", () => {
      const shown = pad.picker.children[1].value;
      do hard = hard + 1 < digits.length ? hard + 1 : HARD;
      while (String(hard) === shown);
      pad.clear();
      pad.showDigit(String(hard));
    });
    const centring = make("label.lab-draw-switch", framed,
      make("span", "centre and scale as MNIST did"));
    const more = make("details.lab-draw-more",
      make("summary", "More: all ten probabilities, drawing by keyboard, a picture of "
        + "your own"),
      help,
      lab.row(
        button("Upload", () => upload.click(), { "aria-label": "Upload a picture" }),
        upload, pad.picker, centring),
      table);
    root.append(
      make("div.lab-draw",
        pad.element,
        make("div.lab-draw-right", answers, make("figure.lab-draw-sees", preview,
          make("figcaption", "what the models see", inside))),
        lab.row(pad.buttons, another)),
      line, more);
    const state = pad.state(() => seen);
    // An address may name another digit.
    if (lab.still.matches || lab.linked("draw")) pad.showDigit(String(OPENING), true);
    else write();
    const sure = () => (read.probabilities ?? []).map((y) => Math.max(...y));
    const differ = () => new Set(read.probabilities?.map(argmax)).size > 1;
    const own = () => read.own && read.probabilities
      && read.strange !== undefined && !read.strange; // not before it is known
    return {
      ...state,
      goals: [
        ["a digit of your own that the models read differently",
          () => own() && differ()],
        ["a digit of your own that all three read alike, each with more than 95 %",
          () => own() && !differ() && Math.min(...sure()) > 0.95],
        ["a drawing that looks like no digit", () => read.own && read.strange],
      ],
      tour: [
        ["Draw a digit, with the mouse, a finger or the keys.", () => own() && seen],
        ["Press “Another hard one” until the three answers differ.",
          () => hard !== OPENING && !read.own && differ()],
        ["Unfold “More: all ten probabilities”.", () => more.open],
        ["Clear the pad, draw a small digit in a corner, and "
          + "untick “centre and scale”.", () => !framed.checked && read.own],
        ["Tick it again: the framing is half of the work.", () => framed.checked],
      ],
      code: () => (!seen ? `# ${BLANK}` : `${program(seen)}
y = F.linear(to_input(digit).flatten(), w, b).softmax(dim=0)
print("y =", y)
print(f"softmax regression reads {y.argmax()} ({100 * y.max():.1f} %)")`),
    };
  };
});
