// Return the accessibility problems of a page (screen reader, keyboard, contrast) as a list of sentences.
() => {
  const problems = [];
  const named = (one) => `${one.tagName.toLowerCase()} «${(one.id || one.className || one.textContent || "").toString().slice(0, 40)}»`;
  const seen = (one) => one.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const all = [...document.querySelectorAll("body *")].filter(seen);
  const ids = [...document.querySelectorAll("[id]")].map((one) => one.id);
  for (const id of new Set(ids)) if (ids.filter((other) => other === id).length > 1) problems.push(`duplicate id ${id}`);
  for (const one of document.querySelectorAll("[for], [aria-labelledby], [aria-describedby]")) {
    for (const name of ["for", "aria-labelledby", "aria-describedby"]) {
      const id = one.getAttribute(name);
      if (id && !document.getElementById(id)) problems.push(`${named(one)}: ${name} ${id} does not exist`);
    }
  }
  for (const one of all.filter((one) => one.matches("input, select, textarea"))) {
    if (![...one.labels].some((label) => label.textContent.trim()) && !one.ariaLabel) problems.push(`${named(one)} has no label`);
  }
  for (const one of all.filter((one) => one.matches("button, a, h1, h2, h3"))) {
    if (!one.textContent.trim() && !one.ariaLabel) problems.push(`${named(one)} has no text`);
  }
  for (const one of all.filter((one) => one.matches("button, input, select") && !one.matches(".hidden"))) {
    const box = ["checkbox", "radio"].includes(one.type) ? one.closest("label").getBoundingClientRect() : one.getBoundingClientRect();
    if (box.height < 24 || box.width < 18) problems.push(`${named(one)} is small: ${box.width} by ${box.height}`);
  }
  for (const one of document.querySelectorAll("[role=region], [role=group]")) if (!one.ariaLabel) problems.push(`${named(one)} has no name`);
  for (const one of all) if (one.tabIndex > 0) problems.push(`${named(one)} has a positive tabindex`);
  for (const one of document.querySelectorAll("svg, img")) {
    if (one.getAttribute("aria-hidden") !== "true" && !one.getAttribute("alt") && !one.ariaLabel) problems.push(`${named(one)} has no alternative text`);
  }
  if (!document.documentElement.lang) problems.push("no lang attribute");
  if (!document.title) problems.push("no title");
  const levels = all.filter((one) => /^H\d$/.test(one.tagName)).map((one) => Number(one.tagName[1]));
  if (levels.filter((level) => level === 1).length !== 1) problems.push("the number of h1 headings is not 1");
  levels.forEach((level, place) => { if (place && level > levels[place - 1] + 1) problems.push(`a heading of level ${level} after ${levels[place - 1]}`); });
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    pixel.clearRect(0, 0, 1, 1);
    pixel.fillStyle = colour;
    pixel.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pixel.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let measured = 0;
  for (const one of all) {
    if (one.matches("option")) continue;
    const text = [...one.childNodes].filter((node) => node.nodeType === 3).map((node) => node.data).join("").trim() || one.value;
    if (!text || one.closest(".hidden, [aria-hidden=true], :disabled")) continue;
    if (!one.closest("header, main, footer")) problems.push(`${named(one)} is in no landmark`);
    const layers = [];
    let opacity = 1;
    for (let place = one; place; place = place.parentElement) {
      layers.unshift(rgba(getComputedStyle(place).backgroundColor));
      opacity *= Number(getComputedStyle(place).opacity);
    }
    const over = (below, [r, g, b, a]) => [r, g, b].map((part, k) => part * a + below[k] * (1 - a));
    const ground = layers.reduce(over, [255, 255, 255]);
    const [r, g, b, a] = rgba(getComputedStyle(one).color);
    const [first, second] = [light(over(ground, [r, g, b, a * opacity])), light(ground)].sort((x, y) => y - x);
    const contrast = (first + 0.05) / (second + 0.05);
    measured += 1;
    if (contrast < 4.5) problems.push(`${named(one)}: contrast ${contrast.toFixed(2)}`);
  }
  if (measured < 10) problems.push(`only ${measured} texts were measured`);
  return problems;
}
