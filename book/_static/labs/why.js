/* Which part of a digit carries an answer, and how small a change takes it away: a
   patch of paper on the digit, steps on purpose, and softmax regression pixel by
   pixel. */
"use strict";

lab.ask("weights"); // they take longest: not only when models.js is here to ask
lab.define("why", ["models", "pad", "examples", "pixels", "evidence"], (
  models, { BLANK, program, readingPad }, { accuracies }, pixels, { evidence, rivals },
) => {
  const { make, fixed, percent, toInput, sum, largest, argmax, clamp } = lab;
  const { INK, tint, picture, digitMap, seen, touchable } = pixels;
  const HELP_ID = "lab-why-help", OPENING = "4"; // of the examples
  const LINEAR = "softmax regression";
  const PLAN = { size: 168, rim: 0 }; // of a picture, in pixels
  const PATCH = 4, PITCH = 2, PLACES = (28 - PATCH) / PITCH + 1; // 13 a side
  const MOST = 64; // grey levels of a step
  const BUSY = "computing…";
  const SIZES = { patch: PATCH, pitch: PITCH, places: PLACES, most: MOST };
  const HELP = "Draw or choose a digit. Move the patch over it, with the mouse, a "
    + "finger or the arrow keys. Where it is red, the answer loses by being covered; "
    + "where it is blue, it gains.";

  /* What the worker does with a digit: one task of three, in slices. */
  function work({ models, softmax, stepped }, { toInput, argmax }) {
    const logits = (model, greys) => [...model.logits(toInput(greys))];
    const but = (z, digit) => z.map((score, n) => (n === digit ? -Infinity : score));
    const answer = (z) => ({ digit: argmax(z), share: Math.max(...softmax(z)) });

    /* How much of its lead each answer loses by the patch, at each of its places. */
    function* cover(levels, now, { patch, pitch, places }) {
      const lead = (z, digit) => z[digit] - Math.max(...but(z, digit));
      const covered = [];
      for (let at = 0; at < places ** 2; at++) {
        const greys = levels.slice();
        const top = pitch * Math.floor(at / places), left = pitch * (at % places);
        for (let row = top; row < top + patch; row++) {
          greys.fill(0, 28 * row + left, 28 * row + left + patch);
        }
        covered.push(models.map((model, m) => {
          const z = logits(model, greys), read = argmax(now[m]);
          return { ...answer(z), loss: lead(now[m], read) - lead(z, read) };
        }));
        yield;
      }
      return { covered };
    }

    /* Each pixel goes a step towards the runner-up, along the sign of the gradient. */
    function* push(levels, now, { most }) {
      const signs = models.map((model, m) => {
        const weights = new Float32Array(10), read = argmax(now[m]);
        weights[argmax(but(now[m], read))] = 1;
        weights[read] = -1;
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

    return function* study({ task, levels, ...sizes }) {
      const now = models.map((model) => logits(model, levels));
      if (task === "read") return { answers: now.map(answer), scores: now[0] };
      return yield* (task === "cover" ? cover : push)(levels, now, sizes);
    };
  }

  const tell = ({ digit, share }) => `${digit} (${percent(share)})`;

  /* From which step on a model gives another answer. */
  function limit(answers) {
    const step = answers.findIndex(({ digit }) => digit !== answers[0].digit);
    return step < 0 ? `The same answer up to a step of ${MOST}.`
      : `The answer changes at a step of ${step}.`;
  }

  /* Where the patch costs LeNet most. */
  function hardest(covered) {
    const at = argmax(covered.map((models) => models.at(-1).loss));
    return [Math.floor(at / PLACES), at % PLACES];
  }

  async function build(root) {
    const names = Object.keys(accuracies);
    const ask = await lab.offload(work, "models", "maths");
    const linear = models.model(LINEAR).layers.at(-1), blank = toInput(BLANK);
    let levels = BLANK, found = {}; // the digit, and what the worker tells of it
    let patch = null, pixel = null, step = 18, whose = "own";
    let moved = null; // the model on whose digit the patch was moved
    const pair = rivals(() => {
      drawShares();
      line.say(sums.textContent);
    });

    /* A picture in which mouse, finger or keys choose one of `count` places a side. */
    function chooser(name, count, at, choose) {
      const go = (place) => choose(place.map((n) => clamp(n, 0, count - 1)));
      const press = (event) => {
        const { row, column } = shown.hit(event);
        go([row, column].map((n) => Math.floor(count * n / 28)));
      };
      const shown = picture(touchable(name, press,
        (...way) => go(at().map((n, axis) => n + way[axis])),
        { onpointermove: (event) => event.pointerType === "mouse" && press(event) }));
      return shown;
    }
    const covers = names.map((name, m) => chooser(
      `The digit and the patch, for ${name}: arrow keys move it`, PLACES,
      () => patch ?? [0, 0], (place) => {
        patch = place;
        moved = m;
        drawCovers();
        sayCover();
      }));
    const pushes = names.map((name) => seen(`The digit after the step, for ${name}`));
    const shares = chooser("The share of each pixel: arrow keys choose one", 28,
      () => pixel ?? found.pixel ?? [0, 0], (place) => {
        pixel = place;
        drawShares();
        line.say(share.textContent);
      });
    shares.paint(digitMap(BLANK), PLAN);
    const answers = names.map(() => make("p.lab-why-answer"));
    const [coverTexts, pushTexts] = [0, 1].map(() => names.map(() => make("p")));
    const [sums, share] = [0, 1].map(() => make("p"));
    const line = lab.status("lab-spoken"), refused = lab.status();

    function drawCovers() {
      const { answers: read, covered } = found;
      covers.forEach(({ paint, fill, outline }, m) => {
        paint(digitMap(levels), PLAN, 255, INK);
        coverTexts[m].textContent = BUSY;
        if (!covered) return;
        patch ??= hardest(covered);
        const all = covered.map((models) => models[m]);
        const most = largest(all.map(({ loss }) => loss)) || 1;
        // Where the middle of the patch would lie.
        all.forEach(({ loss }, at) => fill({
          row: PITCH * Math.floor(at / PLACES) + 1, column: PITCH * (at % PLACES) + 1,
          size: PITCH,
        }, `rgba(${tint(Math.sign(loss))}, ${Math.abs(loss) / most})`));
        const [row, column] = patch.map((n) => PITCH * n);
        outline({ row, column, size: PATCH });
        const others = new Set(all.map((one) => one.digit));
        others.delete(read[m].digit);
        const list = [...others].sort().join(", ").replace(/, (.)$/, " or $1");
        const here = all[PLACES * patch[0] + patch[1]];
        coverTexts[m].textContent = `Patch here: ${tell(here)}. `
          + (list ? `In some places the patch makes it a ${list}.`
            : "No place of the patch changes the answer.");
      });
    }

    /* What the patch does in its new place, as soon as that is known. */
    function sayCover() {
      if (moved === null || !found.covered) return;
      const [row, column] = patch;
      line.say(`Row ${row}, column ${column}: ${coverTexts[moved].textContent}`);
      moved = null;
    }

    function drawPushes() {
      const { signs, pushed } = found;
      pushes.forEach(({ paint }, m) => {
        const sign = signs?.[whose === "own" ? m : 0];
        const shown = sign ? models.stepped(levels, sign, step) : levels;
        paint(digitMap(shown), PLAN, 255, INK);
        const all = pushed?.[whose].map((models) => models[m]);
        pushTexts[m].textContent = all ? `Now ${tell(all[step])}. ${limit(all)}` : BUSY;
      });
    }

    function drawShares() {
      const { scores: z } = found;
      if (!z) return;
      const x = toInput(levels), [a, b] = pair.of(z);
      const { weights, added, page } = evidence(linear, x, blank, a, b);
      shares.paint(digitMap(added), PLAN);
      const best = argmax(added); // of the pixels, until the reader chooses one
      found.pixel = [Math.floor(best / 28), best % 28];
      const [row, column] = pixel ?? found.pixel, n = 28 * row + column;
      shares.outline({ row, column, size: 1 });
      const [two, three] = [2, 3].map((digits) => (value) => fixed(value, digits));
      sums.textContent = `Score of ${a} − score of ${b} = ${two(z[a] - z[b])}. `
        + `Without any ink it would be ${two(page)}; the 784 pixels add `
        + `${two(sum(added))}. Red pixels speak for ${a}, blue ones for ${b}.`;
      share.textContent = `Row ${row}, column ${column}, grey level ${levels[n]}: `
        + `${three(x[n] - blank[n])} (more than paper) · ${three(weights[n])} `
        + `(weight to ${a} − that to ${b}) = ${three(added[n])}.`;
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
    async function take(given, fault) {
      refused.say(fault, 0);
      if (fault) return;
      const mine = ++asked;
      [levels, found] = [given, {}];
      panels.ariaBusy = "true";
      draw();
      for (const task of ["read", "cover", "push"]) {
        const told = await ask({ task, levels, ...SIZES });
        if (mine !== asked) return;
        Object.assign(found, told);
        draw();
        if (task === "cover") sayCover();
        if (task === "read") {
          line.say(pad.pen + names.map((name, m) => `${name} reads `
            + tell(found.answers[m])).join(", "), 400);
        }
      }
      panels.ariaBusy = "false";
    }
    const pad = await readingPad({ described: HELP_ID, busy: root, take });
    const row = (pictures, texts, heads) => make("div.lab-why-models",
      names.map((name, m) => make("figure", make("figcaption", name, heads?.[m] ?? ""),
        pictures[m].canvas, texts[m])));
    const panels = make("div",
      make("p.lab-why-head", "Covered by a patch of paper"),
      row(covers, coverTexts, answers),
      make("p.lab-why-head", "Each pixel a step lighter or darker, on purpose"),
      lab.row(
        lab.choice("against", [
          ["own", "each model itself"], ["first", "softmax regression"],
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
      make("div.lab-why-top", pad.element, lab.row(pad.picker, pad.buttons), refused,
        make("p", { id: HELP_ID }, HELP)),
      panels,
      make("div.lab-why-pixels", shares.canvas, make("div",
        make("p.lab-why-head", "Softmax regression, pixel by pixel"),
        pair.element, sums, share)),
      line);
    pad.showDigit(OPENING, true);
    const drawn = pad.state(() => (levels === BLANK ? [] : levels));
    /* Whether a model's answer is another than that for the digit as it is. */
    const other = (told, m) => told[m].digit !== found.answers[m].digit;
    const covered = () => patch && found.covered?.[PLACES * patch[0] + patch[1]];
    return {
      goals: [
        ["a place for the patch where LeNet changes its answer",
          () => covered() && other(covered(), 2)],
        ["softmax regression misled by at most 10 grey levels, but LeNet not", () => {
          const told = step <= 10 && found.pushed?.[whose][step];
          return told && other(told, 0) && !other(told, 2);
        }],
        ["a digit that the patch turns, for LeNet, into three others",
          () => new Set(found.covered?.map((told) => told[2].digit)).size > 3],
      ],
      get: () => ({ digit: drawn.get(), patch, pixel }),
      set({ digit, patch: place, pixel: chosen }) {
        const within = (given, count) => Array.isArray(given) && given.length === 2
          && given.every((n) => Number.isInteger(n) && n >= 0 && n < count);
        if (within(place, PLACES)) patch = place;
        if (within(chosen, 28)) pixel = chosen;
        drawn.set(digit);
        draw();
      },
      code() {
        if (!found.scores) return ""; // they are on their way
        const [row, column] = pixel ?? found.pixel, n = 28 * row + column;
        const [a, b] = pair.of(found.scores);
        return `${program(levels)}
x, paper = to_input(np.stack([digit, 0 * digit])).flatten(1)
z, added = F.linear(x, w, b), (w[${a}] - w[${b}]) * (x - paper)
print(f"{z[${a}] - z[${b}]:.4f}; pixels add {added.sum():.4f}, `
          + `this one {added[${n}]:.4f}")`;
      },
    };
  }

  return Object.assign(build, { work });
});
