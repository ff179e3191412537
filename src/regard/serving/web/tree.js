// The beam's hypotheses as nested lists: what several begin with stands once.
"use strict";

const MARK = "\u2581"; // stands for a space in the tokens of SentencePiece

// The tokens of a hypothesis as a reader writes them: together they are its text.
function written(hypothesis) {
  const { tokens, text } = hypothesis;
  if (tokens.some((token) => token.includes(MARK))) {
    const found = tokens.map((token) => token.replaceAll(MARK, " "));
    return [found[0].trimStart(), ...found.slice(1)];
  }
  if (tokens.join("") === text) return tokens;
  return tokens.map((token, number) => (number ? ` ${token}` : token));
}

// {run, children, hypothesis}: the tokens until hypotheses part, and what follows; hypothesis: one that ends here.
function grown(hypotheses) {
  const root = { run: [], children: [], hypothesis: null };
  for (const hypothesis of hypotheses) {
    let node = root;
    for (const token of written(hypothesis)) {
      let next = node.children.find((child) => child.run[0] === token);
      if (!next) node.children.push(next = { run: [token], children: [], hypothesis: null });
      node = next;
    }
    node.children.push({ run: [], children: [], hypothesis });
  }
  return joined(root);
}

function joined(node) {
  node.children = node.children.map(joined);
  if (node.children.length !== 1 || node.hypothesis) return node;
  const [only] = node.children;
  return { run: [...node.run, ...only.run], children: only.children, hypothesis: only.hypothesis };
}

function score(value) {
  return value.toFixed(2).replace("-", "\u2212");
}

// choose: called with a hypothesis. chosen: the text of the one that is shown.
function tree(hypotheses, chosen, choose) {
  const list = (nodes, before) => element("ul", {}, ...nodes.map((node) => {
    const run = node.run.join("");
    const inside = before && /^[\p{L}\p{N}]/u.test(run); // goes on within a word
    const shown = [
      element("span", { class: "hidden" }, before + run.slice(0, run.search(/\S|$/))),
      element("span", { class: inside ? "run inside" : "run" }, run.trim() || (node.hypothesis ? "(ends here)" : "")),
    ];
    if (!node.hypothesis) return element("li", {}, element("span", { class: "stem" }, shown[1]), list(node.children, before + run));
    const { hypothesis } = node;
    return element("li", {}, element("button", {
      type: "button", "aria-pressed": String(hypothesis.text === chosen), "data-text": hypothesis.text, onclick: () => choose(hypothesis),
    }, ...shown, " ", element("span", { class: "score", dir: "ltr" }, score(hypothesis.score), hypothesis.finished ? "" : " (cut off)")));
  }));
  const root = grown(hypotheses);
  const made = list(root.run.length || root.hypothesis ? [root] : root.children, "");
  made.className = "tree";
  made.dir = direction(hypotheses.map((one) => one.text));
  made.setAttribute("aria-label", "alternatives by their scores");
  return made;
}

// From left to right where that has room, else from the top.
function fit(made) {
  made.classList.add("across");
  made.classList.toggle("across", made.scrollWidth <= made.clientWidth);
}
