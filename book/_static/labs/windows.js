/* What the labs on windows share: numbers in tables, a window on them, its movement. */
"use strict";

lab.define("windows", ["means"], (digits) => {
  const { make, button, slider, clamp } = lab;

  /* A number as people write it: at most so many decimals, and a true minus sign. */
  const show = (number, decimals = 3) =>
    String(Number(number.toFixed(decimals)) || 0).replace("-", "−");

  /* A number as the next part of a sum: + 1 or − 1. */
  const added = (number) => `${number < 0 ? "−" : "+"} ${show(Math.abs(number))}`;

  /* Do something with each cell of a table, or each number of a map. */
  const each = (rows, act) =>
    rows.forEach((row, r) => row.forEach((cell, c) => act(cell, r, c)));

  /* What both labs are made of. `take` takes an input, by its name. */
  function bench(root, figure, take, ...choices) {
    const fields = make("div.lab-row.lab-sizes"), formula = make("p.lab-formula");
    const hints = make("div.lab-hints"), equation = make("p.lab-equation");
    const work = make("div"), status = lab.status();
    const others = Object.keys(digits).map((label) => [label, `a digit ${label}`]);
    const input = lab.choice("input", [["figure", figure], ...others], "figure", take);
    root.append(
      lab.row(input, choices,
        button("Reset all numbers", () => take(input.children[1].value))),
      fields, formula, work, status);
    /* Show how many windows fit; say so when none does. */
    function fits(symbols, numbers, O, sentence) {
      formula.textContent = `O = ⌊${symbols}⌋ + 1 = ⌊${numbers}⌋ + 1 = ${show(O)}`;
      work.hidden = O < 1;
      if (O < 1) status.textContent = `No window fits: ${sentence}`;
      return O >= 1;
    }
    return { fields, hints, equation, work, status, fits };
  }

  /* A table of numbers, texts or elements, with a frame that `look` lays around some of
     them (`chars` says how wide the elements are); `ink` are grey levels, 0 to 9,
     behind it. With `choose`, it is a grid: arrow keys or a press choose a cell. */
  function table(caption, contents, { chars, choose, ink, decimals } = {}) {
    const text = (given) => (typeof given === "number" ? show(given, decimals) : given);
    const cells = contents.map((row) => row.map(text).map((content) =>
      make("td", { class: content === "0" && "lab-zero" }, content)));
    const [rows, columns] = [cells.length, cells[0].length];
    chars ??= Math.max(...cells.flat().map((cell) => cell.textContent.length));
    const frame = make("span.lab-frame", { hidden: "" });
    const scroller = make("div.lab-scroller", make("div",
      make("table", { "aria-label": caption, role: choose ? "grid" : null },
        make("tbody", cells.map((row) => make("tr", row)))), frame));
    const element = make("figure.lab-numbers",
      { style: `--columns: ${columns}; --chars: ${chars}` },
      make("figcaption", { "aria-hidden": "true" }, caption), scroller);
    // What must be scrolled must be reached with the keyboard; a grid is, by its cells.
    let wide = false;
    new ResizeObserver(() => {
      wide = scroller.scrollWidth > scroller.clientWidth;
      if (wide && !choose) scroller.tabIndex = 0;
      else scroller.removeAttribute("tabindex");
    }).observe(scroller);
    each(ink || [], (n, r, c) => cells[r][c].style.setProperty("--ink", n));

    function look(top, left, size) {
      frame.hidden = size === 0;
      const percent = (part, whole) => `${100 * part / whole}%`;
      Object.assign(frame.style, {
        top: percent(top, rows), height: percent(size, rows),
        left: percent(left, columns), width: percent(size, columns),
      });
      if (wide) { // keep the frame in view
        const middle = scroller.scrollWidth * (left + size / 2) / columns;
        scroller.scrollLeft = middle - scroller.clientWidth / 2;
      }
      each(cells, (cell, r, c) => {
        const seen = r >= top && r < top + size && c >= left && c < left + size;
        cell.ariaCurrent = seen ? "true" : null;
        if (choose) cell.tabIndex = seen ? 0 : -1;
      });
    }
    const ends = { Home: [0, -columns], End: [0, columns] };
    if (choose) each(cells, (cell, r, c) => {
      cell.addEventListener("click", () => choose(r, c));
      cell.addEventListener("keydown", (event) => {
        const way = lab.arrow(event, ends);
        if (!way) return;
        const row = clamp(r + way[0], 0, rows - 1);
        const column = clamp(c + way[1], 0, columns - 1);
        choose(row, column);
        cells[row][column].focus();
      });
    });
    return { element, cells, look };
  }

  /* A field for one number of a table. It is named for the ear; what it says about
     nonsense goes into `hints`, below the table. */
  function entry(name, value, hints, change) {
    const field = lab.field(name, { min: -99, max: 99, value: show(value) }, change);
    const [, input, hint] = field.children;
    input.setAttribute("aria-label", name);
    hints.append(hint);
    return input;
  }

  /* Buttons that go through the places 0 … count - 1, and `show` what is at one.
     Nothing moves by itself for readers who have asked for less motion. */
  function player(root, show) {
    let pace = 2, before = 0;
    const motion = lab.animation(root, (time) => {
      const late = time - before - 1000 / pace;
      if (late < 0) return;
      before = time - Math.min(late, 16); // or 25 a second would be 20
      if (steps.at + 1 < steps.count) move(steps.at + 1);
      else go(steps.at);
    });
    function move(at) {
      steps.at = clamp(at, 0, steps.count - 1);
      // Not disabled: a button that is keeps the keyboard's focus from what comes next.
      for (const [part, end] of [[first, 0], [back, 0], [forward, steps.count - 1]]) {
        part.setAttribute("aria-disabled", String(steps.at === end));
      }
      show();
    }
    function stop() {
      motion.stop();
      play.textContent = "Play";
    }
    function go(at) {
      stop();
      move(at);
    }
    const play = button("Play", () => {
      if (motion.running) return go(steps.at);
      if (steps.at + 1 >= steps.count) move(0);
      before = performance.now();
      play.textContent = "Pause";
      motion.start();
      show();
    });
    const first = button("To the start", () => go(0));
    const back = button("Step back", () => go(steps.at - 1));
    const forward = button("Step forward", () => go(steps.at + 1));
    const speed = slider("speed",
      { min: 1, max: 30, step: 1, value: pace, show: (n) => `${n} a second` },
      (n) => { pace = n; });
    const note = make("span", "Your system asks for less motion: go step by step.");
    const steps = {
      at: 0, count: 0, go, stop,
      controls: lab.row(play, back, forward, first, speed, note),
      get playing() { return motion.running; },
      pace: (number) => lab.move(speed.children[1], number),
      // What an address tells of it.
      state: { get: () => steps.at, set: (at) => Number.isInteger(at) && go(at) },
    };
    function ask() {
      stop();
      play.hidden = speed.hidden = lab.still.matches;
      note.hidden = !lab.still.matches;
    }
    lab.still.addEventListener("change", ask);
    ask();
    return steps;
  }

  return { digits, show, added, each, bench, table, entry, player };
});
