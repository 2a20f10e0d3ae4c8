/* Which part of a digit carries an answer, and how small a change takes it away: a patch
   of paper on the digit, steps on purpose, and softmax regression pixel by pixel. */
"use strict";

{
  const { make, fixed, percent, tint, toInput } = lab;
  const HELP_ID = "lab-why-help", OPENING = "4"; // of the examples
  const LINEAR = "softmax regression";
  const SCALE = 6; // pixels of a picture for one of the digit's
  const PATCH = 4, PITCH = 2, PLACES = (28 - PATCH) / PITCH + 1; // 13 a side
  const MOST = 64; // grey levels of a step
  const MARK = "#e66100";
  const DIGITS = [..."0123456789"];
  const HELP = "Draw or choose a digit. Move the patch over it, with the mouse, a finger "
    + "or the arrow keys. Where it is red, the answer loses by being covered; where it "
    + "is blue, it gains.";

  const tools = lab.recipe(function tools() {
    const best = (z) => z.indexOf(Math.max(...z));
    return {
      best,
      but: (z, digit) => z.map((score, n) => (n === digit ? -Infinity : score)),
      stepped: (levels, sign, step) => levels.map((level, n) =>
        Math.min(Math.max(level + step * sign[n], 0), 255)),
    };
  });
  const { stepped } = tools.build();

  /* What the worker does with a digit: one task of three, in slices. */
  function* study(
    { task, levels, patch, pitch, places, most },
    { models, softmax }, { toInput }, { best, but, stepped },
  ) {
    const logits = (model, greys) => [...model.logits(toInput(greys))];
    const answer = (z) => ({ digit: best(z), share: Math.max(...softmax(z)) });
    const now = models.map((model) => logits(model, levels)), read = now.map(best);
    if (task === "read") return { answers: now.map(answer), scores: now[0] };

    if (task === "cover") { // how much of its lead each answer loses by the patch
      const lead = (z, m) => z[read[m]] - Math.max(...but(z, read[m]));
      const covered = [];
      for (let at = 0; at < places ** 2; at++) {
        const greys = levels.slice();
        const top = pitch * Math.floor(at / places), left = pitch * (at % places);
        for (let row = top; row < top + patch; row++) {
          greys.fill(0, 28 * row + left, 28 * row + left + patch);
        }
        covered.push(models.map((model, m) => {
          const z = logits(model, greys);
          return { ...answer(z), loss: lead(now[m], m) - lead(z, m) };
        }));
        yield;
      }
      return { covered };
    }

    // Each pixel goes a step towards the runner-up, along the sign of the gradient.
    const signs = models.map((model, m) => {
      const weights = new Float32Array(10);
      weights[best(but(now[m], read[m]))] = 1;
      weights[read[m]] = -1;
      return model.gradient(toInput(levels), weights).map(Math.sign);
    });
    const pushed = { first: [], own: [] };
    for (let step = 0; step <= most; step++) {
      for (const whose of ["first", "own"]) {
        pushed[whose].push(models.map((model, m) => answer(
          logits(model, stepped(levels, signs[whose === "own" ? m : 0], step)))));
        yield;
      }
    }
    return { signs, pushed };
  }

  const tell = ({ digit, share }) => `${digit} (${percent(share)})`;

  /* From which step on a model gives another answer. */
  function limit(answers) {
    const step = answers.findIndex(({ digit }) => digit !== answers[0].digit);
    return step < 0
      ? `The same answer up to ${MOST}.` : `Another answer from ${step} on.`;
  }

  /* A picture of 28 x 28 squares. With `choose`, mouse, finger and arrow keys choose one
     of `count` x `count` places. */
  function picture(name, { count, at, choose } = {}) {
    const side = 28 * SCALE, canvas = make("canvas",
      { width: side, height: side, role: choose ? "application" : "img" });
    canvas.setAttribute("aria-label", name);
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    if (choose) {
      const go = (place) => choose(
        place.map((n) => Math.min(Math.max(Math.floor(n), 0), count - 1)));
      const point = ({ clientX, clientY }) => {
        const { left, top, width } = canvas.getBoundingClientRect();
        go([clientY - top, clientX - left].map((n) => count * n / width));
      };
      Object.assign(canvas, {
        tabIndex: 0,
        onclick: point,
        onpointermove: (event) => event.pointerType === "mouse" && point(event),
        onkeydown(event) {
          const way = lab.arrow(event);
          if (way) go(at().map((n, axis) => n + way[axis]));
        },
      });
    }
    return {
      canvas,
      show: (shown) => context.drawImage(shown, 0, 0, side, side),
      fill(row, column, size, colour) {
        context.fillStyle = colour;
        context.fillRect(SCALE * column, SCALE * row, SCALE * size, SCALE * size);
      },
      outline(row, column, size) {
        Object.assign(context, { strokeStyle: MARK, lineWidth: 2 });
        context.strokeRect(
          SCALE * column + 1, SCALE * row + 1, SCALE * size - 2, SCALE * size - 2);
      },
    };
  }

  async function build(root) {
    const [parts, { image, drawingPad, framer }, { accuracies, digits }] =
      await Promise.all(["models", "pad", "examples"].map(lab.load));
    const names = Object.keys(accuracies);
    const ask = lab.offload(study, await lab.fetchPart("models"), lab.maths, tools);
    const framed = await framer();
    const { weight, bias } = parts.model(LINEAR).layers.at(-1);
    const paper = new Uint8Array(784), x0 = toInput(paper);
    let levels = paper, found = {}; // the digit, and what the worker tells of it
    let patch = null, pixel = [14, 14], step = 18, whose = "first";
    const pair = [null, null]; // the two digits that are compared, if chosen

    const covers = names.map((name, m) => picture(
      `The digit and the patch, for ${name}: arrow keys move it`, {
        count: PLACES,
        at: () => patch ?? [0, 0],
        choose: (place) => movePatch(place, m),
      }));
    const pushes = names.map((name) => picture(`The digit after the step, for ${name}`));
    const shares = picture("The share of each pixel: arrow keys choose one",
      { count: 28, at: () => pixel, choose: movePixel });
    const answers = names.map(() => make("p.lab-why-answer"));
    const [coverTexts, pushTexts] = [0, 1].map(() => names.map(() => make("p")));
    const [sums, share] = [0, 1].map(() => make("p"));
    const line = lab.status("lab-spoken");

    function movePatch(place, m) {
      patch = place;
      drawCovers();
      line.say(`Row ${place[0]}, column ${place[1]}: ${coverTexts[m].textContent}`);
    }
    function movePixel(place) {
      pixel = place;
      drawShares();
      line.say(share.textContent);
    }

    /* Where the patch costs LeNet most. */
    function hardest() {
      const losses = found.covered?.map((models) => models.at(-1).loss);
      const at = losses?.indexOf(Math.max(...losses));
      return losses ? [Math.floor(at / PLACES), at % PLACES] : null;
    }

    function drawCovers() {
      const { answers: read, covered } = found, digit = image(levels, 28, 28);
      covers.forEach(({ show, fill, outline }, m) => {
        show(digit);
        coverTexts[m].textContent = "…";
        if (!covered) return;
        const all = covered.map((models) => models[m]);
        const most = Math.max(...all.map(({ loss }) => Math.abs(loss)), 1e-9);
        all.forEach(({ loss }, at) => fill( // where the middle of the patch would lie
          PITCH * Math.floor(at / PLACES) + 1, PITCH * (at % PLACES) + 1, PITCH,
          `rgba(${tint(Math.sign(loss))}, ${Math.abs(loss) / most})`));
        outline(...patch.map((n) => PITCH * n), PATCH);
        const others = new Set(all.map((one) => one.digit));
        others.delete(read[m].digit);
        const list = [...others].sort().join(", ");
        const here = all[PLACES * patch[0] + patch[1]];
        coverTexts[m].textContent = `Patch here: ${tell(here)}. `
          + (list ? `Somewhere it makes it a ${list}.` : "It changes the answer nowhere.");
      });
    }

    function drawPushes() {
      const { signs, pushed } = found;
      pushes.forEach(({ show }, m) => {
        const sign = signs?.[whose === "own" ? m : 0];
        show(image(sign ? stepped(levels, sign, step) : levels, 28, 28));
        const all = pushed?.[whose].map((models) => models[m]);
        pushTexts[m].textContent = all ? `Now ${tell(all[step])}. ${limit(all)}` : "…";
      });
    }

    /* Softmax regression is linear: the score of a minus that of b is a sum of what a
       blank page has of it, and of what each pixel adds. */
    function drawShares() {
      const { scores: z } = found;
      if (!z) return;
      const order = [...z.keys()].sort((m, n) => z[n] - z[m]);
      const a = pair[0] ?? order.find((n) => n !== pair[1]);
      const b = pair[1] ?? order.find((n) => n !== a);
      const between = Array.from(paper,
        (_, n) => weight[784 * a + n] - weight[784 * b + n]);
      const x = toInput(levels), added = between.map((w, n) => w * (x[n] - x0[n]));
      const total = (numbers) => numbers.reduce((sum, n) => sum + n, 0);
      const page = bias[a] - bias[b] + total(between.map((w, n) => w * x0[n]));
      const most = Math.max(...added.map(Math.abs), 1e-9);
      added.forEach((value, n) =>
        shares.fill(Math.floor(n / 28), n % 28, 1, `rgb(${tint(value / most)})`));
      shares.outline(...pixel, 1);
      const four = (value) => fixed(value, 4), n = 28 * pixel[0] + pixel[1];
      sums.textContent = `Score of ${a} − score of ${b} = ${four(z[a] - z[b])}. A blank `
        + `page has ${four(page)} of it; the 784 pixels add ${four(total(added))}. Red `
        + `pixels speak for ${a}, blue ones for ${b}.`;
      share.textContent = `Row ${pixel[0]}, column ${pixel[1]}, grey level ${levels[n]}: `
        + `${four(x[n] - x0[n])} (more than paper) · ${four(between[n])} (weight to ${a} `
        + `− that to ${b}) = ${four(added[n])}.`;
    }

    function draw() {
      answers.forEach((text, m) => {
        text.textContent = found.answers ? tell(found.answers[m]) : "–";
      });
      drawCovers();
      drawPushes();
      drawShares();
    }

    let asked = 0; // what is told of an earlier digit comes too late
    async function take(given) {
      const mine = ++asked;
      [levels, found] = [given, {}];
      models.ariaBusy = "true";
      draw();
      for (const task of ["read", "cover", "push"]) {
        const sizes = { patch: PATCH, pitch: PITCH, places: PLACES, most: MOST };
        const told = await ask({ task, levels, ...sizes });
        if (mine !== asked) return;
        Object.assign(found, told);
        patch ??= hardest();
        draw();
        if (task === "read") {
          line.say(pad.pen + names.map((name, m) => `${name} reads `
            + tell(found.answers[m])).join(", "), 400);
        }
      }
      models.ariaBusy = "false";
    }
    async function read() {
      if (pad.drawing) return; // the ink follows the hand; read when it rests
      const question = pad.question();
      if (!question) return void take(paper);
      const given = question.levels ?? await framed(question).catch(({ message }) => {
        line.say(`The drawing ${message}`, 0);
      });
      if (given) take(given);
    }

    const pad = drawingPad({ described: HELP_ID, digits, busy: root, answer: read });
    const compare = (text, auto, n) => lab.choice(text,
      [["", auto], ...DIGITS.map((digit) => [digit, digit])], "", (digit) => {
        pair[n] = digit ? Number(digit) : null;
        drawShares();
        line.say(sums.textContent);
      });
    const row = (pictures, texts, heads) => make("div.lab-why-models",
      names.map((name, m) => make("figure", make("figcaption", name, heads?.[m] ?? ""),
        pictures[m].canvas, texts[m])));
    const models = make("div",
      make("p.lab-why-head", "Covered by a patch of paper"), row(covers, coverTexts, answers),
      make("p.lab-why-head", "Each pixel a step lighter or darker, on purpose"),
      make("div.lab-row",
        lab.choice("against", [
          ["first", "softmax regression"], ["own", "each model itself"],
        ], whose, (value) => { whose = value; drawPushes(); }),
        lab.slider("step", {
          min: 0, max: MOST, step: 1, value: step, show: (n) => `${n} grey levels`,
        }, (n) => {
          step = n;
          drawPushes();
          line.say(names.map((name, m) =>
            `${name}: ${pushTexts[m].textContent}`).join(" "));
        })),
      row(pushes, pushTexts));
    root.append(
      make("div.lab-why-top", pad.element, make("div.lab-row", pad.picker, pad.buttons),
        make("p", { id: HELP_ID }, HELP)),
      models,
      make("div.lab-why-pixels", shares.canvas, make("div",
        make("p.lab-why-head", "Softmax regression, pixel by pixel"),
        make("div.lab-row",
          compare("Why", "the answer", 0), compare("and not", "the runner-up", 1)),
        sums, share)),
      line);
    pad.showDigit(OPENING, true);
    const drawn = pad.state(() => (levels === paper ? [] : levels));
    return {
      get: () => ({ digit: drawn.get(), patch, pixel }),
      set({ digit, patch: place, pixel: chosen }) {
        const within = (given, count) => Array.isArray(given) && given.length === 2
          && given.every((n) => Number.isInteger(n) && n >= 0 && n < count);
        if (within(place, PLACES)) patch = place;
        if (within(chosen, 28)) pixel = chosen;
        drawn.set(digit);
        draw();
      },
    };
  }

  lab.define("why", Object.assign(build, { study, tools }));
}
