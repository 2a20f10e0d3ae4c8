/* The check at the end of a chapter, and the scores that this browser remembers.

   The notebook has the questions as plain text. Where scripts run, that section is
   answered in the page; labs/questions/ has its texts, from book/questions. A score
   leaves the browser only in a link that the reader copies. */
"use strict";

{
  const { make, button } = lab;
  const STORE = "recognize-digits-checks", LINK = "#progress&", QUESTIONS = 6;
  const here = location.href.split("#")[0];
  const chapterOf = (address) =>
    new URL(address).pathname.match(/\/notebooks\/(\d\d_\w+)\.html$/)?.[1];

  // ---- scores, by chapter

  /* Of what was stored or came in a link, all that is a score. */
  const scoresIn = (found) => Object.fromEntries(Object.entries(found ?? {})
    .filter(([chapter, score]) => /^\d\d_\w+$/.test(chapter) && /^[0-6]$/.test(score))
    .map(([chapter, score]) => [chapter, Number(score)]));

  let own = null; // the scores, in a browser that refuses to store anything
  function known() {
    try {
      return own ?? scoresIn(JSON.parse(localStorage.getItem(STORE)));
    } catch {
      return {}; // nothing may be read, or it is no JSON
    }
  }

  function store(scores) {
    try {
      localStorage.setItem(STORE, JSON.stringify(scores));
    } catch {
      own = scores;
    }
    show();
  }

  /* The better score of each chapter stays. */
  function add(more) {
    const scores = known();
    for (const [chapter, score] of Object.entries(more)) {
      scores[chapter] = Math.max(score, scores[chapter] ?? 0);
    }
    store(scores);
  }

  /* Behind each chapter in the contents, and in words where there is room for them. */
  const sum = make("p");
  function show() {
    const scores = known(), all = Object.values(scores);
    document.querySelectorAll(".check-mark").forEach((mark) => mark.remove());
    for (const link of document.querySelectorAll(".bd-links a")) {
      const score = scores[chapterOf(link.href)];
      if (score !== undefined) {
        link.append(make("span.check-mark",
          make("span", { "aria-hidden": true }, `${score}/${QUESTIONS}`),
          make("span.check-spoken", ` (${score} of ${QUESTIONS} right)`)));
      }
    }
    sum.textContent = `Checks finished: ${all.length}. Right answers: `
      + `${all.reduce((a, b) => a + b, 0)} of ${QUESTIONS * all.length}.`;
  }

  /* A fold that says what is remembered, copies it as a link, and forgets it. */
  function progress() {
    const line = make("p", { role: "status" });
    const ask = (asking) => {
      row.hidden = asking;
      sure.hidden = !asking;
      (asking ? sure : row).querySelector("button").focus();
    };
    async function copy() {
      const link = here + LINK + new URLSearchParams(known());
      const copied = navigator.clipboard?.writeText(link) ?? Promise.reject();
      line.textContent = await copied.then(
        () => "Copied. Open it in another browser: it adds these scores there.",
        () => `Open this in another browser: it adds these scores there. ${link}`);
    }
    function forget() {
      store({});
      ask(false);
      line.textContent = "Forgotten.";
    }
    function take() {
      if (!location.hash.startsWith(LINK)) return;
      const link = new URLSearchParams(location.hash.slice(LINK.length));
      const found = scoresIn(Object.fromEntries(link));
      history.replaceState(null, "", here);
      add(found);
      line.textContent = `Scores in the link: ${Object.keys(found).length}.`;
      fold.open = true;
      fold.scrollIntoView();
    }
    const row = make("div.lab-row", button("Copy link with scores", copy),
      button("Forget my scores", () => ask(true)));
    const sure = make("div.lab-row", { hidden: true },
      make("strong", "Forget the scores of all chapters, for good?"),
      button("Keep them", () => ask(false)), button("Forget them", forget));
    const kept = make("p", "Scores are kept in this browser only; nothing is sent "
      + "anywhere. To take them to another browser, copy a link.");
    const fold = make("details.check-progress", make("summary", "Your progress"),
      make("div.lab", sum, kept, row, sure, line));
    addEventListener("hashchange", take);
    return { fold, take };
  }

  // ---- questions

  /* A text, with its `code`. */
  const said = (text) =>
    text.split("`").map((part, i) => (i % 2 ? make("code", part) : part));

  /* Four parts of each question: what is asked, where one answers, the answer given
     (undefined while there is none), and what is to be said of it. */
  function chosen({ question, options, right }, name) {
    const labels = options.map(([text], i) => make("label",
      make("input", { type: "radio", name, value: i }),
      make("span", make("strong", `${"abcd"[i]}. `), said(text))));
    const given = () =>
      labels.find((label) => label.control.checked)?.control.value;
    return [question, labels, given, (i) => [Number(i) === right, options[i][1]]];
  }

  function computed({ tolerance, variants }, turn) {
    const { question, answer, shown, why } = variants[turn % variants.length];
    const whole = variants.every((variant) => Number.isInteger(variant.answer));
    const min = variants.some((variant) => variant.answer < 0) ? -999 : 0;
    let typed;
    const field = lab.field("Your answer", { min, max: 999, whole, value: "" },
      (number) => { typed = number; });
    const given = () =>
      (field.querySelector("[aria-invalid=true]") ? undefined : typed);
    return [question, [field], given, (number) =>
      [Math.abs(number - answer) <= tolerance + 1e-9, `${shown}. ${why}`]];
  }

  /* A question in its place. It may be answered again, but the first answer counts. */
  function place(data, number, turn, link, count) {
    const [question, fields, given, judge] =
      data.variants ? computed(data, turn) : chosen(data, `question-${number}`);
    const verdict = make("div.check-verdict", { role: "status" });
    function onsubmit(event) {
      event.preventDefault();
      if (given() === undefined) {
        verdict.replaceChildren("Give an answer first.");
        return;
      }
      const [right, why] = judge(given());
      verdict.replaceChildren(make("strong", right ? "✓ Right. " : "✗ Not right. "),
        ...said(why), ...(right ? [] : [" Read again: ", link.cloneNode(true), "."]));
      verdict.dataset.right = right;
      count(number, right);
    }
    return make("form", { onsubmit }, make("fieldset",
      make("legend", make("strong", `${number + 1}. `), said(question)), fields,
      make("div.lab-row", make("button", "Check"))), verdict);
  }

  function check(chapter, questions, section) {
    const links = [...section.querySelectorAll("details a")], forms = make("div");
    const score = make("p.check-score", { role: "status" });
    const again = button("Try again, with other numbers", () => {
      ask();
      forms.querySelector("input").focus();
    });
    let turn = Math.floor(100 * Math.random()), first;
    function count(number, right) {
      first[number] ??= right;
      if (Object.keys(first).length < questions.length) return;
      const sum = first.filter(Boolean).length;
      score.textContent = `${sum} of ${questions.length} right on the first try.`;
      again.hidden = false;
      add({ [chapter]: sum });
    }
    function ask() {
      first = [];
      turn += 1;
      score.textContent = "";
      again.hidden = true;
      forms.replaceChildren(...questions.map((data, number) =>
        place(data, number, turn, links[number], count)));
    }
    ask();
    section.replaceChildren(section.querySelector("h2"),
      make("div.lab.check", forms, score, again));
  }

  async function begin() {
    show();
    const chapter = chapterOf(here), id = chapter ? "check-yourself" : "progress";
    const place = document.getElementById(id);
    if (!place) return;
    const [questions] = await Promise.all([chapter && lab.load(`questions/${chapter}`),
      lab.style("lab"), lab.style("check")]);
    if (chapter) check(chapter, questions, place);
    const { fold, take } = progress();
    place.append(fold);
    take();
  }

  begin().catch(console.error); // the text stands by itself
}
