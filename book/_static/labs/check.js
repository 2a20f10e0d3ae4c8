/* The check at the end of a chapter, what is predicted within it, and what this browser
   remembers: scores, guesses, and the answers to a check that is not finished.

   The notebook has all of it as plain text, which stays for paper. Where scripts run,
   it is answered in the page. The check's texts are in labs/questions/, from
   book/questions; a prediction is made of the text in its place. Scores leave the
   browser only in a link that the reader copies, all else never. */
"use strict";

{
  const { make, button } = lab;
  const LINK = "#progress&", QUESTIONS = 6;
  const REFUSED = "[aria-invalid=true]"; // a field that holds no answer
  const here = location.href.split("#")[0];
  const chapterOf = (address) =>
    new URL(address).pathname.match(/\/notebooks\/(\d\d_\w+)(?:\.html)?$/)?.[1];

  // ---- what is remembered

  /* Numbers by name, as this browser keeps them under a key; all that is no such name
     or number is ignored. */
  function memory(key, names, numbers) {
    let own = null; // in a browser that refuses to store anything
    const sane = (found) => Object.fromEntries(Object.entries(found ?? {})
      .filter(([name, number]) => names.test(name) && numbers.test(number))
      .map(([name, number]) => [name, Number(number)]));
    function read() {
      try {
        return own ?? sane(JSON.parse(localStorage.getItem(key)));
      } catch {
        return {}; // nothing may be read, or it is no JSON
      }
    }
    function write(found) {
      try {
        localStorage.setItem(key, JSON.stringify(found));
        own = null;
      } catch {
        own = found;
      }
    }
    return { read, write };
  }

  const scores = memory("recognize-digits-checks", /^\d\d_\w+$/, /^[0-6]$/);
  // By chapter and cell: the number of the option, or the one that was typed.
  const guesses = memory("recognize-digits-guesses",
    /^\d\d_\w+\/[\w-]+$/, /^\d{1,3}(\.\d+)?$/);
  // The same by chapter and question; how often the chapter has asked before, and with
  // which numbers it began.
  const answers = memory("recognize-digits-answers",
    /^\d\d_\w+\/(turn|start|\d)$/, /^-?\d{1,3}(\.\d+)?(e-\d+)?$/);

  const anew = []; // what asks all again, once it is forgotten

  /* The better score of each chapter stays. */
  function add(more) {
    const found = scores.read();
    for (const [chapter, score] of Object.entries(more)) {
      found[chapter] = Math.max(score, found[chapter] ?? 0);
    }
    scores.write(found);
    show();
  }

  /* Behind each chapter in the contents, and in words where there is room for them. */
  const sum = make("p");
  function show() {
    const found = scores.read(), all = Object.values(found);
    document.querySelectorAll(".check-mark").forEach((mark) => mark.remove());
    for (const link of document.querySelectorAll(".bd-links a")) {
      const score = found[chapterOf(link.href)];
      if (score !== undefined) {
        link.append(make("span.check-mark",
          make("span", { "aria-hidden": true }, `${score}/${QUESTIONS}`),
          make("span.check-spoken", ` (${score} of ${QUESTIONS} right)`)));
      }
    }
    const right = `${all.reduce((a, b) => a + b, 0)} of ${QUESTIONS * all.length}`;
    sum.textContent = `Checks finished: ${all.length}.`
      + (all.length ? ` Right answers: ${right}.` : "");
  }

  /* A fold that says what is remembered, copies it as a link, and forgets it. */
  function progress() {
    const line = make("p", { role: "status" });
    const ask = (asking) => {
      line.textContent = "";
      row.hidden = asking;
      sure.hidden = !asking;
      (asking ? sure.querySelector("button") : row.lastChild).focus();
    };
    async function copy() {
      const link = here + LINK + new URLSearchParams(scores.read());
      const copied = navigator.clipboard?.writeText(link) ?? Promise.reject();
      line.textContent = await copied.then(
        () => "Copied. Open it in another browser: it adds these scores there.",
        () => `Open this in another browser: it adds these scores there. ${link}`);
    }
    function forget() {
      scores.write({});
      guesses.write({});
      answers.write({});
      show();
      anew.forEach((ask) => ask());
      ask(false);
      line.textContent = "Forgotten.";
    }
    function take() {
      if (!location.hash.startsWith(LINK)) return;
      // Mail programs may encode the link, or write something behind it.
      const link = location.hash.matchAll(/(\d\d_\w+)(?:=|%3D)([0-6])(?!\d)/gi);
      const found = Object.fromEntries(
        [...link].map(([, name, n]) => [name, Number(n)]));
      history.replaceState(null, "", here);
      add(found);
      line.textContent = `Scores in the link: ${Object.keys(found).length}.`;
      fold.open = true;
      fold.scrollIntoView();
    }
    const row = make("div.lab-row", button("Copy link with scores", copy),
      button("Forget my scores, guesses and answers", () => ask(true)));
    const sure = make("div.lab-row", { hidden: true },
      make("strong", "Forget the scores, guesses and answers of all chapters?"),
      button("Keep them", () => ask(false)), button("Forget them", forget));
    const kept = make("p", "Scores, guesses and answers are kept in this browser only; "
      + "nothing is sent anywhere. To take the scores to another browser, copy a "
      + "link.");
    const fold = make("details.check-progress", make("summary", "Your progress"),
      make("div.lab", sum, kept, row, sure, line));
    addEventListener("hashchange", take);
    return { fold, take };
  }

  // ---- questions

  /* A text, with its `code`. */
  const said = (text) =>
    text.split("`").map((part, i) => (i % 2 ? make("code", part) : part));

  /* Where one answers, by one of some texts or by a number; a function that gives the
     answer, undefined while there is none; and one that gives a remembered answer, and
     tells whether it is one. */
  function choice(name, texts) {
    const labels = texts.map((text, value) => make("label",
      make("input", { type: "radio", name, value }), make("span", text)));
    const given = () =>
      labels.find((label) => label.querySelector(":checked"))?.control.value;
    function fill(kept) {
      if (labels[kept]) labels[kept].control.checked = true;
      return kept in labels;
    }
    return [labels, given, fill];
  }

  function number(text, { min, max, whole = false }) {
    let typed;
    const field = lab.field(text, { min, max, whole, value: "" },
      (n) => { typed = n; });
    const given = () => (field.querySelector(REFUSED) ? undefined : typed);
    function fill(kept) {
      const good = kept >= min && kept <= max && (!whole || Number.isInteger(kept));
      if (good) lab.move(field.control, kept);
      return good;
    }
    return [field, given, fill];
  }

  /* A question with its button. `act` gets the answer, and the line to speak of it. */
  function form(asked, fields, given, does, act) {
    const verdict = make("div.check-verdict", { role: "status", tabindex: -1 });
    function oninput() { // another answer: what was said is not of this one
      delete verdict.dataset.right;
      verdict.replaceChildren();
    }
    function onsubmit(event) {
      event.preventDefault();
      oninput();
      if (given() !== undefined) act(given(), verdict);
      // The field says it half a second after the last key: too late for Enter.
      else verdict.textContent = event.target.querySelector(REFUSED)?.dataset.hint
        ?? "Give an answer first.";
    }
    const row = make("div.lab-row", make("button", does));
    return make("form.check-form", { oninput, onsubmit },
      make("fieldset", make("legend", asked), fields, row), verdict);
  }

  // ---- the check

  /* Five parts of each question: what is asked, where one answers, the answer given, a
     remembered one, and what is to be said of it. The next turn has another order, or
     other numbers. */
  function chosen({ question, options, right }, name, turn) {
    const order = options.map((_, i) => options[(i + turn) % options.length]);
    const texts = order.map(([text], i) =>
      [make("strong", `${"abcd"[i]}. `), ...said(text)]);
    return [question, ...choice(name, texts), (i) =>
      [order[i] === options[right], order[i][1]]];
  }

  function computed({ tolerance, variants }, turn) {
    const { question, answer, shown, why } = variants[turn % variants.length];
    const whole = variants.every((variant) => Number.isInteger(variant.answer));
    const min = variants.some((variant) => variant.answer < 0) ? -999 : 0;
    return [question, ...number("Your answer", { min, max: 999, whole }), (given) =>
      [Math.abs(given - answer) <= tolerance + 1e-9, `It is ${shown}. ${why}`]];
  }

  function check(chapter, questions, section) {
    const links = [...section.querySelectorAll("details a")], forms = make("div");
    const score = make("p.check-score", { role: "status" });
    const again = button("Try again", () => {
      keep(); // nothing, though another tab may have kept some
      ask();
      forms.querySelector("input").focus();
    });
    let turn = -1, start = Math.floor(100 * Math.random()); // of the numbers
    let first; // answer by question, and whether it was right
    const left = () => questions.length - Object.keys(first).length;

    /* Keep what is not finished, as a whole: another tab may have kept answers to other
       numbers. (If a question is changed meanwhile, its answer is a stranger's.) */
    function keep() {
      const others = Object.entries(answers.read())
        .filter(([name]) => !name.startsWith(`${chapter}/`));
      const given = Object.entries(first).map(([number, [answer]]) => [number, answer]);
      const ours = left() ? [...given, ["turn", turn], ["start", start]] : [];
      const named = ours.map(([name, n]) => [`${chapter}/${name}`, n]);
      answers.write(Object.fromEntries([...others, ...named]));
    }

    function count() {
      const more = left();
      const sum = Object.values(first).filter(([, right]) => right).length;
      score.textContent = more ? `${more} more to answer.`
        : `${sum} of ${questions.length} right on the first try.`;
      again.hidden = more > 0;
      if (!more) add({ [chapter]: sum });
    }

    /* A question in its place. It may be answered again, but the first answer counts;
       it may have been given on an earlier visit. */
    function place(data, number, kept) {
      const [question, fields, given, fill, judge] =
        data.variants ? computed(data, start + turn)
          : chosen(data, `question-${number}`, turn);
      const asked = [make("strong", `${number + 1}. `), ...said(question)];
      function tell(answer, verdict) { // and whether it counts
        const [right, why] = judge(answer), link = links[number].cloneNode(true);
        const dot = /[?!]$/.test(link.textContent) ? "" : ".";
        const back = right ? [] : [" Read again: ", link, dot];
        verdict.replaceChildren(make("strong", right ? "✓ Right. " : "✗ Not right. "),
          ...said(why), ...back);
        verdict.dataset.right = right;
        if (number in first) return false;
        first[number] = [Number(answer), right];
        count();
        return true;
      }
      const box = form(asked, fields, given, "Check", (answer, verdict) => {
        if (tell(answer, verdict)) keep();
      });
      if (fill(kept)) tell(given(), box.lastChild);
      return box;
    }

    function ask() {
      first = {};
      const all = answers.read();
      const before = ["turn", "start"].map((name) => all[`${chapter}/${name}`]);
      const kept = before.every((n) => Number.isInteger(n) && n >= 0);
      turn += 1;
      if (kept) [turn, start] = before;
      const best = scores.read()[chapter];
      score.textContent = best === undefined ? ""
        : `Your best: ${best} of ${questions.length}.`;
      again.hidden = true;
      forms.replaceChildren(...questions.map((data, number) =>
        place(data, number, kept ? all[`${chapter}/${number}`] : undefined)));
    }
    anew.push(ask);
    ask();
    section.classList.add("check-asked");
    section.append(make("div.lab.check", forms, score, again));
  }

  // ---- predictions

  /* What follows a prediction in its section, in one part or two: the output of a cell,
     or a table; then the rest, since what comes later often tells it, too. */
  function results(place) {
    const first = [], rest = [];
    let next = place;
    while ((next = next.nextElementSibling)
      && !next.matches(".predict, section, [data-lab]")) {
      if (first.length) rest.push(next);
      else if (next.querySelector(":scope > table")) first.push(next);
      else first.push(...next.querySelectorAll(".cell_output"));
    }
    if (next?.matches("[data-lab]")) rest.pop(); // it says how to use the figure
    return [first, rest].filter((part) => part.length);
  }

  /* Two functions: cover what settles a prediction with a line, and show it. A search
     in the page, and a link, find it all the same. */
  function cover(place) {
    const parts = results(place).map((part) => {
      const around = make("div", { role: "group", "aria-label": "The result",
        tabindex: -1, onbeforematch: show });
      part[0].before(around);
      around.append(...part);
      return around;
    });
    const line = make("div.lab.check-cover",
      make("span", "Covered until you commit to a guess."),
      button("Show it anyway", () => {
        show();
        parts[0].focus({ preventScroll: true }); // it begins where the button was
      }));
    function hide() {
      parts[0]?.before(line);
      parts.forEach((part) => part.setAttribute("hidden", "until-found"));
    }
    function show() {
      line.remove(); // so that the theme looks anew at what keys must reach to scroll
      parts.forEach((part) => part.removeAttribute("hidden"));
    }
    return [hide, show];
  }

  /* A prediction, where its text is. The guess stays, and beside it comes the result,
     which the text has in a fold: “**b.** …”, or “**81.1 %:** …”. What settles it,
     further down, is covered until then. */
  function predict(place, chapter) {
    const copy = (nodes) => [...nodes].map((node) => node.cloneNode(true));
    const [asked, ...options] = [...place.querySelectorAll(":scope > p, li > p")]
      .map((line) => [...line.childNodes]);
    const [first, ...why] = place.querySelector("details > p").childNodes;
    const result = first.textContent.slice(0, -1);
    const unit = options.length ? "" : result.replace(/^[\d.,]+/, "");
    const key = `${chapter}/${place.dataset.before}`;
    const [hide, show] = cover(place);

    function ask() {
      const [fields, answer, fill] = options.length ? choice(key, options.map(copy))
        : number(`Your guess${unit && `, in${unit}`}`, { min: 0, max: 999 });
      const box = form(copy(asked), fields, answer, "Commit", (given, line) => {
        guesses.write({ ...guesses.read(), [key]: Number(given) });
        settle(given, line);
        line.focus();
      });
      function settle(given, line) {
        const guess = options.length ? "abcd"[given] : given + unit;
        const right = options.length ? guess === result : "open";
        const said = right === true ? `✓ You said ${guess}, and so it is: `
          : `${right ? "" : "✗ "}You said ${guess}; it is ${result}: `;
        line.replaceChildren(make("strong", said), ...copy(why));
        line.dataset.right = right;
        box.firstChild.disabled = true;
        show();
      }
      hide();
      place.querySelector("form")?.remove();
      place.append(box);
      const kept = guesses.read()[key];
      if (fill(kept)) settle(kept, box.lastChild);
    }
    anew.push(ask);
    ask();
    place.classList.add("check-asked");
  }

  async function begin() {
    show();
    const chapter = chapterOf(here), id = chapter ? "check-yourself" : "progress";
    const place = document.getElementById(id);
    if (!place) return;
    try {
      document.querySelectorAll(".predict").forEach(
        (question) => predict(question, chapter));
      if (chapter) check(chapter, await lab.load(`questions/${chapter}`), place);
    } finally {
      const { fold, take } = progress();
      place.append(fold);
      take();
    }
  }

  // Another tab has added to it, or another page before the reader came back.
  for (const event of ["storage", "pageshow"]) addEventListener(event, show);
  begin().catch(console.error); // the text stands by itself
}
