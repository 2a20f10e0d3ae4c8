/* What the theme leaves open. */
"use strict";

/* On a phone, the contents stand in a drawer; a tap on one of its links closes it. */
document.addEventListener("click", (event) => {
  event.target.closest("dialog a[href]")?.closest("dialog").close();
});

/* No iPhone shows a page on the full screen, and not every frame may. */
if (!document.fullscreenEnabled && !document.webkitFullscreenEnabled) {
  document.querySelectorAll(".btn-fullscreen-button").forEach((b) => b.remove());
}

/* Safari prints no picture that would be loaded later. So where there is a mouse, and
   perhaps a printer, all come once the page is there; nobody then scrolls to a gap. */
if (matchMedia("(hover: hover)").matches) {
  addEventListener("load", () => setTimeout(() => {
    for (const image of document.images) image.loading = "eager";
  }, 1000));
}

/* Paper is white, and nobody can unfold a solution there; a lab is printed as it is. */
{
  const html = document.documentElement;
  let theme = null, folded = [];
  addEventListener("beforeprint", () => {
    if (theme !== null) return; // some browsers fire it twice
    theme = html.dataset.theme;
    html.dataset.theme = "light";
    folded = [...document.querySelectorAll("details:not([open], .lab *)")];
    folded.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => {
    if (theme === null) return;
    html.dataset.theme = theme;
    theme = null;
    folded.forEach((details) => { details.open = false; });
  });
}
