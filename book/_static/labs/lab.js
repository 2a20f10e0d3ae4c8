/* What the labs share: figures that compute, in the page itself.

   A page holds a placeholder, <div data-lab="pooling">…</div>; what stands in it is for
   readers without JavaScript. When it comes near the screen, labs/pooling.js and
   labs/pooling.css are loaded, and it draws into it. Scripts are loaded by script
   elements, not by fetch or as modules, so that a book opened from a disk works, too. */
"use strict";

const lab = (() => {
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const parts = new Map(); // name → promise of what the script defined
  const arrived = new Map(); // name → what ends the waiting for it

  /* A script of this folder says what it has: a lab, a function of its placeholder;
     or something that other scripts need. */
  function define(name, part) {
    (arrived.get(name) ?? (() => parts.set(name, Promise.resolve(part))))(part);
  }

  /* What `make` makes of what is given to it, recipes or plain data. It uses nothing
     else, so a worker can make the same of the source text; it is made when needed. */
  function recipe(make, ...given) {
    let made;
    const source = given.map((part) => part.source ?? JSON.stringify(part));
    return {
      source: `(${make})(${source.join(", ")})`,
      build: () => (made ??= make(...given.map((part) => part.build?.() ?? part))),
    };
  }

  /* Load labs/NAME.js once; a promise of what it defined, recipes as such. */
  function fetchPart(name) {
    if (!parts.has(name)) {
      parts.set(name, new Promise((resolve, reject) => {
        arrived.set(name, resolve);
        const script = make("script", { src: `${folder}${name}.js`, charset: "utf-8" });
        script.onerror = () => reject(new Error(`${name}.js could not be loaded`));
        document.head.append(script);
      }));
    }
    return parts.get(name);
  }

  /* The same, recipes followed. */
  async function load(name) {
    const part = await fetchPart(name);
    return part.build?.() ?? part;
  }

  /* Load labs/NAME.css, which the lab can do without. */
  function style(name) {
    return new Promise((go) => document.head.append(make("link",
      { rel: "stylesheet", href: `${folder}${name}.css`, onload: go, onerror: go })));
  }

  /* Let a worker do what takes long, so that the page stays quick: `work` is a generator
     function of a message and of what the recipes make. Returns an async function of
     the message; what comes back is what `work` returns. A book opened from a disk may
     not load a worker's file, but may make one from a text. Where there are no workers,
     the page does the work itself, a slice up to each `yield` between two frames. */
  function offload(work, ...recipes) {
    const waiting = new Map();
    let worker = null, count = 0;
    const text = `"use strict";
      const work = ${work}, made = Promise.all([${recipes.map(({ source }) => source).join(", ")}]);
      onmessage = async ({ data: [id, message] }) => {
        try {
          const steps = work(message, ...await made);
          let step = steps.next();
          while (!step.done) step = steps.next();
          postMessage([id, step.value]);
        } catch (error) {
          postMessage([id, null, error.message]);
        }
      };`;
    async function here(message) {
      const steps = work(message, ...await Promise.all(recipes.map((part) => part.build())));
      for (;;) {
        const { done, value } = steps.next();
        if (done) return value;
        await new Promise((next) => requestAnimationFrame(() => setTimeout(next)));
      }
    }
    try {
      const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
      worker = new Worker(address);
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
    } catch {
      worker = null;
    }
    return (message) => {
      if (!worker) return here(message);
      return new Promise((resolve, reject) => {
        waiting.set(++count, { message, resolve, reject });
        worker.postMessage([count, message]);
      });
    };
  }

  /* Put a lab in its place; if that fails, what stands there stays, with a sentence.
     Above what is read, it must not push that down: Safari doesn't see to it. */
  async function open(place) {
    const root = make("section", { class: "lab" });
    try {
      const name = place.dataset.lab;
      const [build] = await Promise.all([load(name), style(name)]);
      await build(root);
      await pause();
      const page = document.documentElement, height = page.scrollHeight;
      const above = place.getBoundingClientRect().top < 0;
      place.replaceChildren(root);
      if (above && !CSS.supports("overflow-anchor", "auto")) {
        scrollBy({ top: page.scrollHeight - height, behavior: "instant" });
      }
    } catch (error) {
      console.error(error);
      place.append(make("p", { class: "lab-status" },
        `This interactive figure could not start (${error.message}); the text stands by itself.`));
    }
  }

  /* Let the page draw, and answer whoever uses it, before going on. */
  const pause = () => new Promise((next) => setTimeout(next));

  const svgNames = new Set("svg g rect circle line path polyline polygon text tspan title defs marker pattern".split(" "));

  /* Make an element; svg names give svg elements. Attributes beginning with "on" are
     listeners, null and false are left out; children are elements or texts. */
  function make(name, attributes = {}, ...children) {
    const element = svgNames.has(name)
      ? document.createElementNS("http://www.w3.org/2000/svg", name)
      : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(key, value);
    }
    element.append(...children.flat());
    return element;
  }

  /* 12345 as "12,345"; toLocaleString first takes as long as some frames. */
  const thousands = (count) => String(count).replace(/\B(?=(\d{3})+$)/g, ",");

  function button(text, press, attributes = {}) {
    return make("button", { type: "button", ...attributes, onclick: press }, text);
  }

  /* A labelled slider; `show` turns its number into words, for eyes and ears alike. A
     finger that came to scroll the page leaves it as it was. */
  function slider(text, { min, max, step = "any", value, show = String }, change) {
    const output = make("output", {}, show(value));
    let before = value;
    const input = make("input", {
      type: "range", min, max, step, value, "aria-valuetext": show(value),
      oninput() {
        output.textContent = show(input.valueAsNumber);
        input.setAttribute("aria-valuetext", output.textContent);
        change(input.valueAsNumber);
      },
      onpointerdown() { before = input.value; },
      onpointercancel() {
        input.value = before;
        input.dispatchEvent(new Event("input"));
      },
    });
    return make("label", { class: "lab-control" }, make("span", {}, text), input, output);
  }

  /* A labelled field for one number. What is no number, or out of bounds, is said in
     words beside it, and `change` is not called: the lab goes on with the last good one. */
  function field(text, { min = -Infinity, max = Infinity, whole = false, value }, change) {
    const hint = make("span", { class: "lab-hint", role: "alert" });
    const input = make("input", {
      type: "text", inputmode: whole && min >= 0 ? "numeric" : "text", value, size: 4, autocomplete: "off",
      oninput() {
        const number = input.value.trim() === "" ? NaN : Number(input.value.replace(",", ".").replace("−", "-"));
        const good = Number.isFinite(number) && number >= min && number <= max && (!whole || Number.isInteger(number));
        const bounds = min > -Infinity && max < Infinity ? ` from ${min} to ${max}` : "";
        hint.textContent = good ? "" : `Enter a ${whole ? "whole " : ""}number${bounds}.`;
        input.setAttribute("aria-invalid", String(!good));
        if (good) change(number);
      },
    });
    return make("label", { class: "lab-control" }, make("span", {}, text), input, hint);
  }

  /* A labelled list to choose from; options are [value, text] pairs. */
  function choice(text, options, value, change) {
    const select = make("select", { onchange: () => change(select.value) },
      options.map(([key, name]) => make("option", { value: key, selected: key === value }, name)));
    return make("label", { class: "lab-control" }, make("span", {}, text), select);
  }

  /* A line that screen readers speak when it changes; returns the element. */
  function status() {
    return make("p", { class: "lab-status", role: "status", "aria-live": "polite" });
  }

  /* Call `step` before each frame while running, and only while `root` is on screen. */
  function animation(root, step) {
    let running = false, seen = false, frame = 0;
    const next = () => {
      cancelAnimationFrame(frame);
      if (running && seen) frame = requestAnimationFrame((time) => { step(time); next(); });
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

  /* Grey levels (0 paper … 255 ink) to what models expect, as to_input in the package:
     around a mean of 0, with a standard deviation of 1. */
  const scaling = recipe(function scaling() {
    const MEAN = 33.32, STD = 78.57;
    return function toInput(greys) {
      const inputs = new Float32Array(greys.length);
      for (let k = 0; k < greys.length; k++) inputs[k] = (greys[k] - MEAN) / STD;
      return inputs;
    };
  });

  const near = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        near.unobserve(target);
        open(target);
      }
    }
  }, { rootMargin: "300px" });

  document.addEventListener("DOMContentLoaded", () => {
    const places = document.querySelectorAll("[data-lab]");
    if (places.length) style("lab");
    places.forEach((place) => near.observe(place));
  });

  return { define, recipe, fetchPart, load, offload, pause, thousands, make, button, slider, field, choice, status, animation, still, scaling, toInput: scaling.build() };
})();
