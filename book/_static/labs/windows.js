/* What the labs on windows share: numbers in tables, a window on them, its movement. */
"use strict";

{
  const { make, button, slider } = lab;

  /* Three digits of MNIST's training set (CC BY-SA 3.0), those with the places 4, 5 and
     7 in the course's sample, as means of 2 x 2 pixels: from 0, paper, to 9, ink. */
  const digits = {
    4: `00000000000000 00000000000000 00000000003000 00400000006100 00700000027000
        01700000045000 03600000283000 03744666490000 00333100280000 00000000350000
        00000000360000 00000000370000 00000000140000 00000000000000`,
    5: `00000000000000 00000000000000 00000000224300 00005789956300 00006893600000
        00000370000000 00000064100000 00000016820000 00000000581000 00000026880000
        00001598510000 00269951000000 00343100000000 00000000000000`,
    7: `00000000000000 00000000000000 00000000000000 00000001242000 00002468998000
        00029961296000 00078300482000 00032004930000 00000019600000 00000058100000
        00000491000000 00002830000000 00005600000000 00003100000000`,
  };
  for (const [label, rows] of Object.entries(digits)) {
    digits[label] = rows.split(/\s+/).map((row) => Array.from(row, Number));
  }

  /* A number as people write it: at most so many decimals, and a true minus sign. */
  function show(number, decimals = 3) {
    const text = String(Number(number.toFixed(decimals)) || 0);
    return text.replace("-", "−");
  }

  /* A number as the next part of a sum: + 1 or − 1. */
  const added = (number) => `${number < 0 ? "−" : "+"} ${show(Math.abs(number))}`;

  /* A table of texts or elements, with a frame that `look` lays around some of them
     (`chars` says how wide the elements are).
     With `choose`, it is a grid: the arrow keys or a press choose a cell. */
  function table(caption, contents, { chars, choose } = {}) {
    const cells = contents.map((row) => row.map((content) =>
      make("td", { class: content === "0" && "lab-zero" }, content)));
    const [rows, columns] = [cells.length, cells[0].length];
    chars ??= Math.max(...contents.flat().map((text) => text.length));
    const frame = make("span", { class: "lab-frame", hidden: "" });
    const scroller = make("div", { class: "lab-scroller" }, make("div", {},
      make("table", { "aria-label": caption, role: choose ? "grid" : null },
        make("tbody", {}, cells.map((row) => make("tr", {}, row)))), frame));
    const element = make("figure",
      { class: "lab-numbers", style: `--columns: ${columns}; --chars: ${chars}` },
      make("figcaption", { "aria-hidden": "true" }, caption), scroller);
    // What must be scrolled must be reached with the keyboard; a grid is, by its cells.
    let wide = false;
    new ResizeObserver(() => {
      wide = scroller.scrollWidth > scroller.clientWidth;
      scroller.toggleAttribute("tabindex", wide && !choose);
      if (wide && !choose) scroller.tabIndex = 0;
    }).observe(scroller);

    const inside = (r, c, top, left, size) =>
      r >= top && r < top + size && c >= left && c < left + size;
    function look(top, left, size) {
      frame.hidden = size === 0;
      for (const [side, part] of [["top", top / rows], ["left", left / columns],
        ["height", size / rows], ["width", size / columns]]) {
        frame.style[side] = `${100 * part}%`;
      }
      if (wide) { // keep the frame in view
        const middle = scroller.scrollWidth * (left + size / 2) / columns;
        scroller.scrollLeft = middle - scroller.clientWidth / 2;
      }
      cells.forEach((row, r) => row.forEach((cell, c) => {
        const seen = inside(r, c, top, left, size);
        if (seen) cell.setAttribute("aria-current", "true");
        else cell.removeAttribute("aria-current");
        if (choose) cell.tabIndex = seen ? 0 : -1;
      }));
    }
    if (choose) {
      const moves = {
        ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
        Home: [0, -columns], End: [0, columns],
      };
      cells.forEach((row, r) => row.forEach((cell, c) => {
        cell.addEventListener("click", () => choose(r, c));
        cell.addEventListener("keydown", (event) => {
          const move = moves[event.key];
          if (!move || event.ctrlKey || event.altKey || event.metaKey) return;
          event.preventDefault();
          const to = [r + move[0], c + move[1]].map((n, axis) =>
            Math.min(Math.max(n, 0), [rows, columns][axis] - 1));
          choose(...to);
          cells[to[0]][to[1]].focus();
        });
      }));
    }
    return { element, cells, look };
  }

  /* A field for one number of a table. It is named for the ear; what it says about
     nonsense goes into `hints`, below the table. */
  function entry(name, options, hints, change) {
    const field = lab.field(name, { ...options, value: show(options.value) }, change);
    const [, input, hint] = field.children;
    input.setAttribute("aria-label", name);
    hints.append(hint);
    return input;
  }

  /* Buttons that go through the places 0 … count - 1, and `show` what is at one, so many
     `perSecond`. Nothing moves by itself for readers who have asked their system for less
     motion. */
  function player(root, show) {
    const steps = { at: 0, count: 0, go, stop, get playing() { return motion.running; } };
    let perSecond = 2, before = 0;
    steps.pace = (number) => {
      const input = speed.querySelector("input");
      input.value = number;
      input.dispatchEvent(new Event("input"));
    };
    const motion = lab.animation(root, (time) => {
      if (time - before < 1000 / perSecond) return;
      before = time;
      if (steps.at + 1 < steps.count) move(steps.at + 1);
      else go(steps.at);
    });
    function move(at) {
      steps.at = Math.min(Math.max(at, 0), steps.count - 1);
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
      { min: 1, max: 30, step: 1, value: perSecond, show: (n) => `${n} a second` },
      (n) => { perSecond = n; });
    const note = make("span", {}, "Your system asks for less motion: go step by step.");
    const ask = () => {
      stop();
      play.hidden = speed.hidden = lab.still.matches;
      note.hidden = !lab.still.matches;
    };
    lab.still.addEventListener("change", ask);
    steps.controls = make("div", { class: "lab-row" }, play, back, forward, first, speed, note);
    ask();
    return steps;
  }

  lab.define("windows", { digits, show, added, table, entry, player });
}
