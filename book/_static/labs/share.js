/* A figure's state in its address: what its controls say, and what else it tells. */
"use strict";

{
  const { make, button } = lab;
  const LONGEST = 2_000; // characters of an address; some programs cut longer ones off
  // In a field, or where a slider stands.
  const NUMBER = /^\s*[−+-]?(\d+[.,]?\d*|[.,]\d+)\s*$/;
  const IMPORTS = "import torch\nfrom torch.nn import functional as F\n\n";

  const controls = (root) =>
    [...root.querySelectorAll("input:not([type=file]), select")];
  const said = ({ type, checked, value }) => (type === "checkbox" ? checked : value);

  /* Answer each control as a hand would. One after the other, since a change may lay
     out anew what follows; what a control doesn't offer is left as it is. */
  function answer(root, values) {
    values.forEach((value, n) => {
      const control = controls(root)[n];
      if (!control || said(control) === value) return;
      const { type, options } = control;
      const offered = type === "checkbox" ? typeof value === "boolean"
        : options ? [...options].some((option) => option.value === value)
          : typeof value === "string" && NUMBER.test(value);
      if (!offered) return;
      control[type === "checkbox" ? "checked" : "value"] = value;
      const kind = options || type === "checkbox" ? "change" : "input";
      control.dispatchEvent(new Event(kind));
    });
  }

  const through = async (data, stream) => new Uint8Array(
    await new Response(new Response(data).body.pipeThrough(stream)).arrayBuffer());

  async function pack(state) {
    const text = JSON.stringify(state, (_, value) =>
      (ArrayBuffer.isView(value) ? [...value] : value));
    const packed = await through(text, new CompressionStream("deflate-raw"));
    return btoa(String.fromCharCode(...packed))
      .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  }

  async function unpack(text) {
    const packed = lab.bytes(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = await through(packed, new DecompressionStream("deflate-raw"));
    return JSON.parse(new TextDecoder().decode(bytes));
  }

  /* The address of a page with this state of one of its figures. */
  const address = async (page, name, state) => `${page}#${name}=${await pack(state)}`;

  const FOR = 5_000; // ms that a message stays

  /* Safari copies only during the press itself; a promise of the text will do. */
  async function copyAtOnce(text) {
    const blob = text.then((given) => new Blob([given], { type: "text/plain" }));
    blob.catch(() => {}); // a browser that refuses at once never looks at it
    await navigator.clipboard.write([new ClipboardItem({ "text/plain": blob })]);
  }

  /* A button that copies what `give` gives to the clipboard, and a line in which it
     says `done`, or what else there is to do. `give` may say why there is nothing. */
  function copier(name, give, done, otherwise) {
    const line = make("span", { role: "status" });
    let timer = 0;
    const say = (text) => { line.textContent = text; };
    const copy = button(name, async () => {
      clearTimeout(timer);
      const given = (async () => await give(say) ?? Promise.reject())();
      await copyAtOnce(given)
        .catch(async () => navigator.clipboard.writeText(await given))
        .then(() => {
          say(done);
          timer = setTimeout(say, FOR, "");
        }, () => given.then((text) => say(otherwise(text)),
          (error) => error && say("This browser cannot do that.")));
    });
    return [copy, line];
  }

  /* The figure's numbers as a program; it is written only while somebody reads it. */
  function program(root, code) {
    const text = make("code", { tabindex: 0, translate: "no" });
    const write = () => {
      const lines = folded.open ? IMPORTS + code() : "";
      if (text.textContent !== lines) text.textContent = lines;
    };
    const folded = make("details.lab-code", { ontoggle: write },
      make("summary", "The same in PyTorch"), text,
      lab.row(copier("Copy the code", () => text.textContent,
        "Copied.", () => "Select the code, and copy it.")));
    new MutationObserver(write).observe(
      root, { subtree: true, childList: true, characterData: true });
    return folded;
  }

  /* Call `look` soon after whatever changes, once the reader has done something. */
  function notice(root, look) {
    let timer = null;
    const watcher = new MutationObserver(() => {
      timer ??= setTimeout(() => { timer = null; look(); }, 200);
    });
    const watch = ({ isTrusted }) => isTrusted && watcher.observe(
      root, { subtree: true, childList: true, characterData: true, attributes: true });
    for (const done of ["pointerdown", "keydown", "input", "click"]) {
      root.addEventListener(done, watch);
    }
  }

  /* Goals to try for, each [a sentence, whether it is reached now], noticed once. */
  function goals(root, wanted) {
    const items = wanted.map(([text]) => make("li", text));
    const count = make("summary"), line = make("p", { role: "status" });
    function tell() {
      const reached = items.filter(({ className }) => className).length;
      count.textContent = `Goals: ${reached} of ${items.length}`;
    }
    notice(root, () => wanted.forEach(([text, isReached], n) => {
      if (items[n].className || !isReached()) return;
      items[n].className = "lab-reached";
      items[n].textContent = `Reached: ${text}`;
      line.textContent = `Goal reached: ${text}`;
      tell();
    }));
    tell();
    return [make("details.lab-goals", count, make("ul", items)), line];
  }

  /* A tour, a step at a time: each is [a sentence, a value that becomes true, or just
     another, when the reader has done it]. What is to be done stays in sight. */
  function tour(root, steps) {
    const text = lab.spoken(make("p", { role: "status" }));
    let at = steps.length, before;
    function go(step) {
      at = step;
      const [sentence, value] = steps[at] ?? ["That was the tour."];
      before = value?.();
      if (!value && skip.matches(":focus")) over.focus();
      skip.hidden = !value;
      box.hidden = false; // only what changes in sight is spoken
      text.say(value ? `${at + 1} of ${steps.length}: ${sentence}` : sentence, 100);
    }
    function end() {
      at = steps.length;
      box.hidden = true;
      begin.focus();
    }
    notice(root, () => {
      const now = steps[at]?.[1]();
      if (now === true || (now && now !== before)) go(at + 1);
    });
    const begin = button("Take a tour", () => go(0));
    const skip = button("Skip this step", () => go(at + 1));
    const over = button("End the tour", end);
    const box = make("div.lab-tour", { hidden: true }, text, lab.row(skip, over));
    return [begin, box];
  }

  /* Below the figure `root`: what copies its address, a page of its own, goals, and a
     program. `own` has what the controls don't tell: get() gives it as plain data,
     set(it) takes it back; goals and a tour, see above; and code(), lines of Python
     with the figure's numbers and its result. */
  function share(place, root, own = {}) {
    const name = place.dataset.lab;
    const now = () => address(location.href.split("#")[0], name,
      { controls: controls(root).map(said), own: own.get?.() });
    let known; // what the address says that the figure has, or had
    /* Whoever comes back to this place in the history finds the figure as it was left;
       but a page that is loaded anew, at another time, no longer has it. */
    function keep(link) {
      history.replaceState(performance.timeOrigin, "", link);
      known = lab.linked(name);
    }
    const kept = () =>
      history.state === performance.timeOrigin && lab.linked(name) === known;
    async function link(say) {
      const link = await now();
      if (link.length > LONGEST) {
        say("There is more in this figure than fits into a link.");
        return null;
      }
      keep(link);
      return link;
    }
    const [copy, line] = copier("Copy link", link,
      "Copied: whoever opens it sees this figure as it is now.",
      (text) => (window === top ? "The link is in your browser’s address bar."
        : `Here is the link: ${text}`));
    /* To another page with this figure, as it is now. */
    const way = (href, text) => make("a", { href, async onclick(event) {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return; // another tab
      event.preventDefault();
      const [there] = event.currentTarget.href.split("#");
      const here = await now().catch(() => ""); // an old browser cannot make it
      if (here && here.length <= LONGEST) keep(here); // to come back
      location.href = there + here.slice(here.indexOf("#"));
    } }, text);
    async function take() {
      const packed = lab.linked(name);
      if (!packed) return;
      try {
        const state = await unpack(packed);
        if (lab.linked(name) !== packed) return; // another came meanwhile
        answer(root, state.controls ?? []);
        if (state.own !== undefined) own.set?.(state.own);
        keep(location.href);
      } catch { /* Whatever this is, it was not copied here. */ }
    }
    addEventListener("hashchange", () => kept() || take());
    const { alone } = place.dataset;
    /* Without the controls, and with them: the figure stays as it is. */
    const bare = make("a", { href: "?plain", onclick(event) {
      event.preventDefault();
      const page = location.search === "?plain" ? location.pathname : "?plain";
      history.replaceState(history.state, "", page + location.hash);
      strip();
    } });
    function strip() {
      const plain = root.classList.toggle("lab-plain", location.search === "?plain");
      bare.textContent = plain ? "Show the controls" : "Hide the controls";
    }
    strip();
    root.append(make("div.lab-row.lab-folds", own.code ? program(root, own.code) : "",
      own.goals ? goals(root, own.goals) : ""));
    const [begin = "", box = ""] = own.tour ? tour(root, own.tour) : [];
    root.append(box, make("div.lab-row.lab-share",
      copy, begin, alone ? way(alone, "This figure alone") : "",
      alone === "" ? bare : "", line));
    return take();
  }

  lab.define("share", { share, address });
}
