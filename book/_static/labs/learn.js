/* A network that learns as you watch, from the digits in digits.js: shuffled batches, a
   step against the gradient, in a worker; the page draws what it tells. */
"use strict";

lab.painted.then(() => lab.ask("digits")); // they take longest
lab.define("learn", ["views", "own", "pixels"], (views, { ownDigits }, { isDigit }) => {
  const { make, button, slider, percent } = lab;
  const PACE = 10; // digits a millisecond, at most: slow enough to watch
  const MOST_STEPS = 1e6; // that an address may ask for
  const STRETCH = 30; // epochs after which a run pauses by itself
  const RUN = `Run ${STRETCH} epochs`;
  const KEPT = ["A", "B", "C"]; // names of the curves that stay
  const OFFERED = { // for each step
    rate: [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1],
    batch: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
    momentum: [0, 0.5, 0.9, 0.99],
    decay: [0, 0.0001, 0.001, 0.01, 0.1],
  };
  const UNITS = [1, 2, 4, 8, 16, 32, 64, 128];
  const ACTIVATIONS = [["ReLU", "ReLU"], ["Tanh", "tanh"], ["Sigmoid", "sigmoid"],
    ["Identity", "none"]];
  const STARTS = [["he", "random, by He’s rule"], ["small", "random, small (0.01)"],
    ["large", "random, large (1)"], ["zero", "all zero"]];

  /* 12345 as "12,345"; toLocaleString first takes as long as some frames. */
  const thousands = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

  /* What the worker does. It begins anew, gets one more digit, or learns: from so many
     digits, at most up to an epoch or a step; then it tells how far it has come. */
  function work({ inked, Training }, { train, test }) {
    const [all, held] = [train, test].map(inked);
    const shown = held.lists.slice(0, 10).map((list, n) => ({
      list, label: held.labels[n], levels: test.images.slice(784 * n, 784 * (n + 1)),
    }));
    let training, own;

    function add({ levels, label }) {
      const [list] = inked({ images: levels, labels: [label] }).lists;
      own.push({ list, levels, label });
      training.train.lists.push(list);
      training.train.labels.push(label);
    }
    function begin(settings) {
      const some = (list) => [...list.slice(0, settings.count)];
      const learned = { lists: some(all.lists), labels: some(all.labels) };
      training = new Training(learned, held, settings);
      own = [];
      settings.own.forEach(add);
    }

    return function* learn({ reset, add: one, options, digits = 0, until = Infinity,
      upTo = Infinity, measure }) {
      if (reset) begin(reset);
      if (one) add(one);
      const goesOn = () =>
        training.epoch < until && training.steps < upTo && !training.diverged;
      for (let done = 0, slice = 0; done < digits && goesOn();) {
        training.step(options);
        done += options.batch;
        if (done < slice + 128) continue;
        slice = done;
        yield;
      }
      if (measure || !goesOn()) training.record();
      const { time, epoch, steps, points, diverged, network, layers } = training;
      const [answers, adopted] = [shown, own].map((digits) => digits.map(
        ({ list, ...digit }) => ({ ...digit, ...network.answer(list) })));
      return {
        time, epoch, steps, points, diverged, layers, answers, own: adopted,
        weights: new Float32Array(network.layers[0].weights),
        sizes: [training.train, training.held].map(({ labels }) => labels.length),
      };
    };
  }

  const nats = (cost) => (cost < 1e4 ? cost.toFixed(3) : cost.toExponential(1));
  const counted = (count, noun) =>
    `${thousands(count)} ${noun}${count === 1 ? "" : "s"}`;

  /* With `hidden`, the reader chooses the layers and sees into them. */
  async function build(root, { hidden }) {
    const ask = await lab.offload(work, "training", "digits");

    const adopted = []; // digits of the reader's own
    const shape = { layers: hidden ? 1 : 0, units: 64, activation: "ReLU",
      start: hidden ? "he" : "zero", count: 4000 };
    const options = { rate: hidden ? 0.03 : 0.01, batch: 32, momentum: 0, decay: 0 };
    const network = () => ({ hidden: Array(shape.layers).fill(shape.units),
      activation: shape.activation, start: shape.start, count: shape.count,
      own: adopted });
    let palette = "colours", until = 0, told = await ask({ reset: network() });
    // [up to which step, options …], and digits that were added, to do it again
    let trace = [];
    const kept = []; // earlier runs

    const pictures = views.firstWeights(), layers = views.layers();
    const [tiles, own] = [0, 0].map(views.answers);
    await lab.pause();
    const costs = views.curves("Cost over epochs", [
      ["training cost", "blue", null, "training"],
      ["held-out cost", "orange", "6 4", "cost"],
    ], views.costTicks);
    const accuracies = views.curves("Accuracy over epochs", [
      ["training digits", "blue", null, "learned"],
      ["held-out digits", "orange", "6 4", "accuracy"],
    ], () => [0, 25, 50, 75, 100].map((n) => [n / 100, `${n} %`]));
    const keptList = make("ul.lab-learn-kept");

    const names = ["epochs", "steps", "training cost", "held-out cost",
      "training accuracy", "held-out accuracy"];
    const numbers = names.map(() => make("dd"));
    const status = lab.status();

    const named = () => shape.layers === 0; // each template is a digit's
    function drawCharts() {
      const { points } = told, last = points.at(-1);
      costs.draw(points, `Held-out cost now ${nats(last.cost)} nats.`, kept);
      accuracies.draw(points, `Held-out accuracy now ${percent(last.accuracy)}.`, kept);
    }
    let shown = null; // the point that the charts show last
    let parts = []; // what is still to be drawn of it
    /* All at once when training rests; in a frame, as much as it has time for. */
    function draw(moving = false) {
      const { points, weights, time, steps } = told, last = points.at(-1);
      const begun = last.training !== null;
      [time.toFixed(2), thousands(steps),
        begun ? nats(last.training) : "–", nats(last.cost),
        begun ? percent(last.learned) : "–", percent(last.accuracy),
      ].forEach((text, k) => { numbers[k].textContent = text; });
      if (!told.diverged) { // or there is nothing but NaN to see
        pictures.draw(weights, named(), palette, told.layers[0].dead, moving);
        if (hidden) {
          tiles.draw(told.answers);
          own.draw(told.own);
        }
      }
      const fresh = shown !== last.steps || !steps;
      if (fresh && !(moving && parts.length)) {
        shown = last.steps;
        parts = [drawCharts,
          () => hidden && layers.draw(told.layers, shape.activation)];
      }
      do parts.shift()?.(); while (parts.length && !moving);
    }

    const last = () => told.points.at(-1);
    const lowest = () =>
      told.points.reduce((low, one) => (one.cost < low.cost ? one : low));
    function sentence() {
      const { steps, epoch, sizes, diverged, layers: all } = told;
      const { right, accuracy, cost } = last();
      const [total, held] = sizes.map(thousands);
      if (diverged) {
        return `After ${counted(steps, "step")} the cost has outgrown all numbers: `
          + "this run has diverged. Reset, and try a lower learning rate.";
      }
      if (steps === 0) {
        const sizes = [784, ...network().hidden, 10].join("–");
        return `${hidden ? `A network of ${sizes}, with its first weights.`
          : "All weights are 0."} ${total} digits to learn from, ${held} held out.`;
      }
      const dead = all.reduce((sum, layer) => sum + layer.dead.length, 0);
      const low = lowest();
      return `After ${counted(steps, "step")}, ${counted(epoch, "complete epoch")}: `
        + `${right} of ${held} held-out digits are read right, ${percent(accuracy)}; `
        + `the cost on them is ${nats(cost)} nats`
        + (low.cost < cost && low.time >= 1
          ? `; at its lowest, during epoch ${Math.ceil(low.time)}, it was `
            + `${nats(low.cost)}.` : ".")
        + (cost > Math.max(2 * Math.log(10), told.points[0].cost)
          ? " That is far worse than guessing: the learning rate is too high." : "")
        + (dead ? ` ${counted(dead, "unit")} ${dead === 1 ? "is" : "are"} dead.` : "");
    }

    async function tell(message) {
      const used = Object.values(message.options ?? options);
      told = await ask({ options, ...message });
      if (message.reset) trace = [...adopted];
      if (message.add) {
        const { levels, label } = message.add;
        trace.push({ levels, label });
        adopted.push(trace.at(-1));
      }
      const [done = 0, ...last] = trace.findLast(Array.isArray) ?? [];
      if (told.steps === done) return;
      if (String(last) === String(used) && Array.isArray(trace.at(-1))) trace.pop();
      trace.push([told.steps, ...used]);
    }

    let turn = 0; // of the reader; what an address asks for stops at the next
    let waiting = 0; // for the worker, apart from a run
    const mark = (more = 0) => {
      waiting += more;
      pictures.figure.ariaBusy = String(waiting > 0 || motion.running);
    };

    /* End what goes on, for the sake of what begins now, whose turn it is. */
    function halt() {
      motion.stop();
      run.textContent = RUN;
      mark(1);
      return ++turn;
    }

    /* What is said and described only when training rests, not in each frame. */
    async function rest(message = {}) {
      halt();
      await tell({ measure: true, ...message });
      mark(-1);
      if (motion.running) return; // goes on already
      draw();
      pictures.describe(told.weights, named());
      status.textContent = sentence();
    }

    /* Where motion is not wanted, the pictures change only when training rests. */
    let before = 0, learning = false;
    const motion = lab.animation(root, async (time) => {
      if (!motion.running || learning) return; // asked for before the pause
      const due = lab.still.matches ? 2000 : PACE * Math.min(time - before, 50);
      before = time;
      learning = true;
      await tell({ digits: due, until });
      learning = false;
      if (!motion.running) return;
      if (told.epoch >= until || told.diverged) rest();
      else if (!lab.still.matches) draw(true);
    });

    function trainUntil(epoch) {
      turn += 1;
      until = epoch;
      run.textContent = "Pause";
      status.textContent = "Learning …";
      motion.start();
      mark();
    }

    /* What a run is called: what was chosen for it. */
    const about = () => [
      hidden && (shape.layers ? `${network().hidden.join("–")} ${shape.activation}`
        : "no hidden layer"),
      hidden && shape.start !== "he" && `first weights ${shape.start}`,
      `rate ${options.rate}`, `batch ${options.batch}`,
      options.momentum && `momentum ${options.momentum}`,
      options.decay && `decay ${options.decay}`,
      shape.count < 4000 && `${thousands(shape.count)} digits`,
    ].filter(Boolean).join(", ");

    function showKept() {
      keptList.replaceChildren(...kept.map((one) => make("li",
        `${one.name}: ${one.about} (${percent(one.points.at(-1).accuracy)} after `
        + `${one.points.at(-1).time.toFixed(1)} epochs) `,
        button("Remove", () => {
          kept.splice(kept.indexOf(one), 1);
          showKept();
          drawCharts();
          keeper.focus();
        }, { "aria-label": `Remove ${one.name}` }))));
    }
    const keeper = button("Keep this curve", () => {
      if (kept.length === KEPT.length) {
        status.textContent = "Three curves are kept: remove one first.";
        return;
      }
      const name = KEPT.find((free) => kept.every((one) => one.name !== free));
      kept.push({ name, about: about(), points: [...told.points] });
      showKept();
      drawCharts();
      status.textContent = `Kept as ${name}: its held-out curves stay in both plots.`;
    });

    const anew = () => {
      told = { ...told, epoch: 0 }; // from which a run's end is counted
      return rest({ reset: network() });
    };
    const run = button(RUN, () =>
      motion.running ? rest() : trainUntil(told.epoch + STRETCH));
    function goingOn() {
      if (!told.steps) return;
      status.textContent = "This holds from the next step on. To compare with what was "
        + "before, keep the curve, and reset.";
    }
    const steps = (text, key) => slider(text, {
      min: 0, max: OFFERED[key].length - 1, step: 1,
      value: OFFERED[key].indexOf(options[key]), show: (k) => String(OFFERED[key][k]),
    }, (k) => {
      options[key] = OFFERED[key][k];
      goingOn();
    });
    /* A list to choose from; it changes `where`, and `then` sees to the rest. */
    const chosen = (text, where, key, offered, then) =>
      lab.choice(text, offered, where[key], (value) => {
        where[key] = typeof where[key] === "number" ? Number(value) : value;
        then();
      });

    const plots = make("div", make("div.lab-plots", costs.figure, accuracies.figure),
      keptList, make("div.lab-learn-numbers", make("dl", names.map((name, k) =>
        make("div", make("dt", name), numbers[k])))));
    const digitsRead = make("div",
      make("p.lab-learn-head", "Held-out digits, and how they are read"), tiles.figure);
    const first = make("div",
      lab.row(lab.choice(hidden ? "First layer’s weights" : "Templates", [
        ["colours", "red for, blue against"], ["greys", "black for, white against"],
      ], palette, (name) => { palette = name; draw(); })),
      pictures.figure);
    root.append(
      lab.row(run,
        button("One step", () => rest({ digits: 1 })),
        button("One epoch", () => trainUntil(told.epoch + 1)),
        button("Reset", anew), keeper),
      status,
      hidden ? lab.row(make("strong", "A new network:"),
        chosen("Hidden layers", shape, "layers", [0, 1, 2, 3], anew),
        chosen("Units in each", shape, "units", UNITS, anew),
        chosen("Activation", shape, "activation", ACTIVATIONS, anew),
        chosen("First weights", shape, "start", STARTS, anew),
        chosen("Training digits", shape, "count",
          [[100], [1000, "1,000"], [4000, "4,000"]], anew)) : "",
      make("div.lab-row.lab-learn-step", hidden ? make("strong", "Each step:") : "",
        steps("Learning rate", "rate"),
        steps("Batch size", "batch"),
        chosen("Momentum", options, "momentum", OFFERED.momentum, goingOn),
        chosen("Weight decay", options, "decay", OFFERED.decay, goingOn)),
      ...(hidden ? [plots, digitsRead, first] : [first, plots]),
      hidden ? layers.figure : "",
      hidden ? ownDigits(own.figure, async (add) => {
        await rest({ add });
        const { digit, share } = told.own.at(-1);
        return `Added as a ${add.label}. It is read as ${digit} `
          + `(${percent(share, 0)}); train on, and see.`;
      }) : "");
    await lab.pause();
    await rest();
    return {
      tour: hidden && [
        ["Press “One step”: 32 digits move all weights a little.", () => told.steps],
        ["Press “One epoch”: each of the 4,000 digits is met once.",
          () => told.epoch >= 1],
        ["Press “Keep this curve”, for comparison.", () => kept.length > 0],
        ["Choose three hidden layers: a new network, with new initial weights.",
          () => shape.layers === 3],
        ["Press “Run 30 epochs”. Pause when the held-out cost rises again.",
          () => told.epoch >= 5 && !motion.running],
        ["Draw a digit of your own below, and add it. How is it read?",
          () => adopted.length > 0],
      ],
      goals: hidden ? [
        ["a dead unit",
          () => told.steps && told.layers.some(({ dead }) => dead.length)],
        // One of more than 1 nat may be guessing, at a cost that goes up and down.
        ["a held-out cost that rises by a tenth while the training cost falls below "
          + "1 nat", () => last().cost > 1.1 * lowest().cost
            && last().training < Math.min(1, lowest().training)],
        ["a run that diverges", () => told.diverged],
      ] : [
        ["nine in ten held-out digits read right", () => last().accuracy >= 0.9],
        ["a cost above that of guessing, log 10", () => last().cost > Math.log(10)],
        ["two kept curves, to compare", () => kept.length > 1],
      ],
      get: () => trace,
      /* Learn again what was learned; the controls have been answered before. */
      async set(given) {
        const keys = Object.keys(options);
        const good = Array.isArray(given) && given.every((entry) => (
          Array.isArray(entry) ? Number.isInteger(entry[0]) && entry[0] <= MOST_STEPS
            && keys.every((key, k) => OFFERED[key].includes(entry[k + 1]))
          : isDigit(entry?.levels) && Number.isInteger(entry.label)
            && entry.label >= 0 && entry.label <= 9));
        if (!good || !(given.length || told.steps || adopted.length)) return;
        const mine = halt();
        shown = null;
        status.textContent = "Learning …";
        adopted.length = 0;
        await tell({ reset: network() });
        for (const entry of given) {
          if (mine !== turn) break;
          if (!Array.isArray(entry)) {
            const levels = Uint8Array.from(entry.levels);
            await tell({ add: { ...entry, levels } });
            continue;
          }
          const [upTo, ...used] = entry;
          const then = Object.fromEntries(keys.map((key, k) => [key, used[k]]));
          do await tell({ options: then, digits: 2000, upTo });
          while (mine === turn && told.steps < upTo && !told.diverged);
        }
        mark(-1);
        if (mine === turn) await rest();
      },
      code: () => views.program(network(), options, told.epoch),
    };
  }

  return build;
});
