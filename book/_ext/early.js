/* What a page runs before anything is painted. */
"use strict";

{
  /* A browser may refuse to store anything. The theme's menus need what they store:
     here it lasts as long as the page. */
  for (const store of ["localStorage", "sessionStorage"]) {
    try {
      window[store].getItem("");
    } catch {
      const kept = new Map();
      const value = {
        getItem: (key) => kept.get(key) ?? null,
        setItem(key, text) { kept.set(key, String(text)); },
        removeItem(key) { kept.delete(key); },
      };
      Object.defineProperty(window, store, { value });
    }
  }

  /* The light or dark theme, also where the system's changes, or another page has
     changed it and one comes back to this one. */
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const show = () => {
    const mode = localStorage.getItem("mode") || "auto";
    const own = mode === "dark" || mode === "light";
    const theme = own ? mode : dark.matches ? "dark" : "light";
    Object.assign(document.documentElement.dataset, { mode, theme });
  };
  show();
  dark.addEventListener("change", () => requestAnimationFrame(show)); // as the last
  addEventListener("pageshow", ({ persisted }) => persisted && show());

  /* Where a guess is remembered, the text shows the result, as the form will that
     labs/check.js makes of it: so nothing moves then. */
  try {
    const guesses = JSON.parse(localStorage.getItem("recognize-digits-guesses"));
    const told = Object.keys(guesses)
      .map((key) => `[data-before="${key.split("/")[1]}"] > details`);
    const style = document.createElement("style");
    style.textContent = `ul ~ :is(${told}) > summary { display: none; }
      :is(${told})::details-content { content-visibility: visible; }`;
    document.head.append(style);
  } catch { /* There is none. */ }
}
