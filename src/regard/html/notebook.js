// Draws explorers in an output of a notebook. Each is in a shadow DOM: no style of the notebook reaches it, and no style of it
// reaches the notebook. The output's table of weights stays where scripts do not run.

// Whether the notebook's text is light, that is, its theme is dark.
function isDark(place) {
  const [red, green, blue] = getComputedStyle(place).color.match(/[\d.]+/g).map(Number);
  return 0.299 * red + 0.587 * green + 0.114 * blue > 128;
}

function drawExplorers(panels, css) {
  for (const [id, maps] of panels) {
    const place = document.getElementById(id);
    if (!place || place.shadowRoot) continue;
    const explorer = element("div", { class: `explorer ${isDark(place) ? "dark" : "light"}` });
    const style = element("style", {}, css);
    place.attachShadow({ mode: "open" }).append(style, explorer);
    new Explorer(explorer, maps);
  }
}
