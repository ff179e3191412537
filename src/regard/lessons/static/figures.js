// Draws every live figure of a page: `<div class="figure" data-figure="NAME">`. A figure is a module figure_NAME.js
// that exports `draw(place, options)`; options are the other data attributes of the element.
for (const place of document.querySelectorAll(".figure[data-figure]")) start(place);

async function start(place) {
  const { figure, ...options } = place.dataset;
  const fallback = [...place.childNodes];
  try {
    const { draw } = await import(`./figure_${figure}.js`);
    place.replaceChildren();
    await draw(place, options);
    place.dataset.ready = "";
  } catch (error) {
    console.error(error);
    const message = document.createElement("p");
    message.className = "trouble";
    message.textContent = `This figure cannot be drawn: ${error.message}`;
    place.replaceChildren(...fallback, message);
  }
}
