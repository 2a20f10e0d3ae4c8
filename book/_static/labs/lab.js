/* What the labs share: figures that compute, in the page itself.

   A page holds a placeholder, <div data-lab="pooling">…</div>; what stands in it is for
   readers without JavaScript. When it comes near the screen, labs/pooling.js is loaded,
   and it draws into it; the book has all labs' styles. Scripts are loaded by elements,
   not by fetch or as modules, so that a book opened from a disk works, too. */
"use strict";

const lab = (() => {
  // A book that was published anew has another version of all of them.
  const [, folder, version] = /^(.*\/)[^/?]*(.*)$/.exec(document.currentScript.src);
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const parts = new Map(); // name → { promise of what its script says, resolve, … }

  // ---- scripts and workers

  /* A promise and what settles it. (Promise.withResolvers is too new for many.) */
  function later() {
    let ends;
    const promise = new Promise((resolve, reject) => { ends = { resolve, reject }; });
    return { promise, ...ends };
  }

  const part = (name) => parts.get(name) ?? parts.set(name, later()).get(name);

  /* A script of this folder says what it has, define("pooling", (root) => …): a lab, a
     function of its placeholder; or something that other scripts need. Or it names what
     it is built of, define("own", ["pad"], (pad) => …): this is asked for at once, and
     it is built when it is needed. If `build` uses nothing else, a worker can do it. */
  function define(name, needs, build) {
    const own = part(name);
    own.asked = true;
    own.resolve(build ? { needs, build } : { needs: [], what: needs });
    if (build) needs.forEach(ask);
  }

  /* The element that loads a script of this folder: a page comes with those of the lab
     that it begins with, others are added. */
  const loader = (file) =>
    [...document.scripts].find(({ src }) => src === folder + file + version);

  /* Load labs/NAME.js once. One that has come and says nothing is none; the page's own
     have all come, or failed, when it has been read. */
  function ask(name) {
    const own = part(name), file = `${name}.js`;
    if (!own.asked) {
      const lost = () => own.reject(new Error(`${file} could not be loaded`));
      if (loader(file)) addEventListener("DOMContentLoaded", lost);
      else document.head.append(make("script", { src: folder + file + version,
        charset: "utf-8", onload: lost, onerror: lost }));
      own.promise.catch(() => {}); // whoever needs it is told
    }
    own.asked = true;
    return own.promise;
  }

  /* The same, and build it once: a promise of what it has. */
  const load = (name) => (part(name).built ??= (async () => {
    const { needs, build, what } = await ask(name);
    return build ? build(...await Promise.all(needs.map(load))) : what;
  })());

  /* What builds a part, as text. */
  async function source(name) {
    const { needs, build, what } = await ask(name);
    if (!build) return JSON.stringify(what);
    return `(${build})(${await Promise.all(needs.map(source))})`;
  }

  /* What the address says of a figure; mail programs put their own behind it. */
  const linked = (name) =>
    new RegExp(`^#${name}(=|%3D)([\\w-]+)`, "i").exec(location.hash)?.[2];

  /* Let the page draw, and answer whoever uses it, before going on. */
  const pause = () => new Promise((next) => setTimeout(next));
  const frame = () => new Promise((next) => requestAnimationFrame(next)).then(pause);

  /* The text comes first. (A tab that nobody sees draws nothing, for the time being.) */
  const painted = Promise.race([frame(), new Promise((go) => setTimeout(go, 2_000))]);

  /* What a generator returns, with a rest at each of its yields. */
  async function finish(steps, rest) {
    for (;;) {
      const { done, value } = steps.next();
      if (done) return value;
      await rest?.();
    }
  }

  /* Let a worker do what takes long, so that the page stays quick. `work` is a function
     of the parts named; it gives a generator function of a message. Promised is an
     async function of the message, which gives what the generator returns. A book
     opened from a disk may not load a worker's file, but may make one from a text. No
     workers: the page does the work itself, a slice at a time, between two frames. */
  async function offload(work, ...names) {
    const waiting = new Map();
    let worker = null, count = 0, own, queue = Promise.resolve();
    const text = `"use strict";
      const finish = ${finish};
      const made = Promise.all([${await Promise.all(names.map(source))}]);
      const work = made.then((parts) => (${work})(...parts));
      onmessage = async ({ data: [id, message] }) => {
        try {
          postMessage([id, await finish((await work)(message))]);
        } catch (error) {
          postMessage([id, null, error.message]);
        }
      };`;
    const here = (message) => (queue = queue.catch(() => {}).then(async () => {
      own ??= Promise.all(names.map(load)).then((parts) => work(...parts));
      return finish((await own)(message), frame);
    }));
    try {
      worker = new Worker(URL.createObjectURL(new Blob([text])));
      worker.onmessage = ({ data: [id, value, error] }) => {
        const { resolve, reject } = waiting.get(id);
        waiting.delete(id);
        if (error === undefined) resolve(value);
        else reject(new Error(error));
      };
      worker.onerror = () => { // not allowed here: what waits is done without it
        worker = null;
        for (const { message, resolve } of waiting.values()) resolve(here(message));
        waiting.clear();
      };
    } catch {} // not known, or forbidden
    return (message) => {
      if (!worker) return here(message);
      const { promise, ...ends } = later();
      waiting.set(++count, { message, ...ends });
      worker.postMessage([count, message]);
      return promise;
    };
  }

  /* Change what is in a place. Above what is read, this must not move that: Safari
     doesn't see to it. */
  function settle(place, change) {
    const page = document.documentElement, height = page.scrollHeight;
    const above = place.getBoundingClientRect().top < 0;
    change();
    if (!above || CSS.supports("overflow-anchor", "auto")) return;
    scrollBy({ top: page.scrollHeight - height, behavior: "instant" });
  }

  /* Put a lab in its place; if that fails, what stands there stays, with a sentence. */
  async function open(place) {
    const root = make("section.lab");
    try {
      const name = place.dataset.lab;
      await painted;
      const [build, { share }] = await Promise.all([load(name), load("share")]);
      await pause();
      await share(place, root, await build(root));
      await pause();
      settle(place, () => place.replaceChildren(root));
    } catch (error) {
      console.error(error);
      settle(place, () => place.append(make("p.lab-status", "This interactive figure "
        + `could not start (${error.message}); the text stands by itself.`)));
    }
  }

  // ---- elements

  const svgNames = new Set(["svg", "g", "line", "polyline", "circle", "text"]);

  /* Make an element: make("p.lab-status", { role: "status" }, "Ready."). Classes follow
     the name after dots; names of SVG give SVG elements. Attributes beginning with "on"
     are listeners, null and false are left out; children are elements, texts, lists. */
  function make(name, ...children) {
    const [tag, ...classes] = name.split(".");
    const space = `http://www.w3.org/${svgNames.has(tag) ? "2000/svg" : "1999/xhtml"}`;
    const element = document.createElementNS(space, tag);
    if (classes.length) element.setAttribute("class", classes.join(" "));
    const attributes = children[0]?.constructor === Object ? children.shift() : {};
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(key, value);
    }
    element.append(...children.flat());
    return element;
  }

  /* The head of a table; a column's name is a text, or a list of what stands there. */
  const heading = (...names) => make("thead",
    make("tr", names.map((name) => make("th", { scope: "col" }, name))));

  const row = (...parts) => make("div.lab-row", ...parts);

  function button(text, press, attributes = {}) {
    return make("button", { type: "button", ...attributes, onclick: press }, text);
  }

  /* A labelled slider; `show` turns its number into words, for eyes and ears alike. A
     finger that came to scroll the page leaves it as it was. */
  function slider(text, { min, max, step = "any", value, show = String }, change) {
    const output = make("output", { "aria-live": "off" }, show(value)); // spoken once
    let before = value;
    const input = make("input", {
      type: "range", min, max, step, value, "aria-valuetext": show(value),
      oninput() {
        output.textContent = show(input.valueAsNumber);
        input.setAttribute("aria-valuetext", output.textContent);
        change(input.valueAsNumber);
      },
      onpointerdown() { before = input.value; },
      onpointercancel() { move(input, before); },
    });
    return make("label.lab-control", make("span", text), input, output);
  }

  /* Move a slider, or fill a field, as if by hand. */
  function move(input, value) {
    input.value = value;
    input.dispatchEvent(new Event("input"));
  }

  /* A labelled field for one number. What is no number, or out of bounds, is said in
     words beside it, and `change` is not called: the last good one stays in use. */
  function field(text, { min, max, whole = false, value }, change) {
    const hint = spoken(make("span.lab-hint", { role: "alert" }));
    const asked = `Enter a ${whole ? "whole " : ""}number from ${min} to ${max}.`;
    const input = make("input", {
      type: "text", inputmode: whole && min >= 0 ? "numeric" : "text",
      value, size: 4, autocomplete: "off", "data-hint": asked,
      oninput() {
        const typed = input.value.trim().replace(",", ".").replace("−", "-");
        const number = typed ? Number(typed) : NaN;
        const good = number >= min && number <= max
          && (!whole || Number.isInteger(number));
        hint.say(good ? "" : asked, good ? 0 : 500);
        input.setAttribute("aria-invalid", String(!good));
        if (good) change(number);
      },
    });
    return make("label.lab-control", make("span", text), input, hint);
  }

  /* A labelled list to choose from; an option is [value, text], or both in one. */
  function choice(text, options, value, change) {
    const select = make("select", { onchange: () => change(select.value) },
      options.map((option) => [option].flat()).map(([key, name = key]) =>
        make("option", { value: key, selected: key === value }, name)));
    return make("label.lab-control", make("span", text), select);
  }

  /* The way of an arrow key, or of another one, down and right, if it was pressed; the
     page stays. */
  const WAYS = { Left: [0, -1], Up: [-1, 0], Down: [1, 0], Right: [0, 1] };
  function arrow(event, others) {
    if (event.altKey || event.ctrlKey || event.metaKey) return undefined;
    const way = { ...WAYS, ...others }[event.key.replace("Arrow", "")];
    if (way) event.preventDefault();
    return way;
  }

  /* A line that screen readers speak when it changes. `say` waits, for so many
     milliseconds, until the hand rests; then only what was said last is spoken. */
  const status = (classes = "") =>
    spoken(make("p", { class: `lab-status ${classes}`, role: "status" }));
  function spoken(line) {
    let timer = 0;
    line.say = (text, wait = 500) => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (line.textContent !== text) line.textContent = text;
      }, wait);
    };
    return line;
  }

  /* Call `step` before each frame while running, and only while `root` is on screen. */
  function animation(root, step) {
    let running = false, seen = false, frame = 0;
    const next = () => {
      cancelAnimationFrame(frame);
      if (!running || !seen) return;
      frame = requestAnimationFrame((time) => { step(time); next(); });
    };
    new IntersectionObserver((entries) => {
      seen = entries.at(-1).isIntersecting;
      next();
    }).observe(root);
    return {
      start() { running = true; next(); },
      stop() { running = false; next(); },
      get running() { return running; },
    };
  }

  // ---- plots

  const place = ([low, high], from, to) =>
    (value) => from + (to - from) * (value - low) / (high - low);

  /* A line of the grid; those at 0 are the axes. */
  const rule = (value, ends) => make("line",
    { ...ends, stroke: "currentcolor", "stroke-opacity": value ? 0.2 : 0.7 });

  const label = (x, y, anchor, text) =>
    make("text", { x, y, "text-anchor": anchor }, text);

  /* A drawing 300 units wide, with a frame between these places and its x axis named.
     `scale` lays the axes out: their ranges, [low, high], their ticks, [value, text],
     and whether lines go up from the lower ticks, too. x and y then say where values
     lie, and `points` where pairs of them do, for a polyline. */
  function plot({ left, right, top, bottom, name, ...attributes }, ...children) {
    const axes = make("g"), viewBox = `0 0 300 ${bottom + 34}`;
    const self = {
      scale(xRange, xTicks, yRange, yTicks, upright) {
        const x = place(xRange, left, right), y = place(yRange, bottom, top);
        axes.replaceChildren(
          ...yTicks.map(([v]) => rule(v, { x1: left, x2: right, y1: y(v), y2: y(v) })),
          ...(upright ? xTicks : []).map(([v]) =>
            rule(v, { x1: x(v), x2: x(v), y1: top, y2: bottom })),
          ...yTicks.map(([v, text]) => label(left - 5, y(v) + 4, "end", text)),
          ...xTicks.map(([v, text]) => label(x(v), bottom + 15, "middle", text)));
        Object.assign(self, { x, y });
      },
      points: (pairs) => pairs.map(([x, y]) =>
        `${self.x(x).toFixed(1)},${self.y(y).toFixed(1)}`).join(" "),
      drawing: make("svg", { viewBox, role: "img", "font-size": 12, ...attributes },
        axes, children, label((left + right) / 2, bottom + 30, "middle", name)),
    };
    return self;
  }

  // ---- numbers

  /* With so many decimals, and a true minus sign; but what is shown as 0 has none. */
  const fixed = (number, digits) =>
    number.toFixed(digits).replace(/^-(?=[0.]+$)/, "").replace("-", "−");

  const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u00a0%`;

  /* A tensor in Python: its numbers, row after row, in this shape. */
  const tensor = (numbers, ...shape) => `torch.tensor([`
    + `${Array.from(numbers, (n) => Number(n.toPrecision(7))).join(", ")}]).float()`
    + (shape.length ? `.reshape(${shape.join(", ")})` : "");

  /* What pages and workers compute with. */
  function maths() {
    const MEAN = 33.32, STD = 78.57;

    /* Grey levels (0 paper … 255 ink) to what models expect, as to_input in the
       package: around a mean of 0, with a standard deviation of 1. */
    const toInput = (greys) => Float32Array.from(greys, (grey) => (grey - MEAN) / STD);

    /* log Σ exp z; the largest is taken out first, so that nothing overflows. */
    function logSumExp(z) {
      const most = Math.max(...z);
      return most + Math.log(z.reduce((all, score) => all + Math.exp(score - most), 0));
    }

    function softmax(z) {
      const all = logSumExp(z);
      return Array.from(z, (score) => Math.exp(score - all));
    }

    const bytes = (base64) => Uint8Array.fromBase64?.(base64) // much quicker, but new
      ?? Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

    const sum = (numbers) => numbers.reduce((total, n) => total + n, 0);
    const largest = (numbers) => numbers.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
    const argmax = (numbers) => numbers.indexOf(Math.max(...numbers));
    const clamp = (n, low, high) => Math.min(Math.max(n, low), high);

    return { toInput, logSumExp, softmax, bytes, sum, largest, argmax, clamp };
  }
  define("maths", [], maths);

  const near = new IntersectionObserver((entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      near.unobserve(target);
      open(target);
    }
  }, { rootMargin: "300px" });

  // The page has been read, though other scripts are on their way.
  const places = document.querySelectorAll("[data-lab]");
  for (const { src } of document.scripts) { // or nobody would see them fail
    if (src.startsWith(folder)) ask(src.slice(folder.length).split(".js")[0]);
  }
  for (const place of places) {
    const name = place.dataset.lab, asked = linked(name);
    if (asked) place.scrollIntoView();
    addEventListener("hashchange", () => // but whoever comes back sees what they saw
      linked(name) && history.state !== performance.timeOrigin
        && place.scrollIntoView());
    if (asked || loader(`${name}.js`)) open(place);
    else near.observe(place);
  }

  return {
    folder, define, ask, load, offload, linked, painted, pause, still, make,
    heading, row, button, slider, move, field, choice, WAYS, arrow, status, spoken,
    animation, plot, fixed, percent, tensor, ...maths(),
  };
})();
