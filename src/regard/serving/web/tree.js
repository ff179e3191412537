// Draw the hypotheses of the beam as nested lists, in which common prefixes appear once.
"use strict";

const MARK = "\u2581"; // stands for a space in SentencePiece tokens
const BYTE = /^<0x[0-9A-F]{2}>$/;

// Return the tokens of a hypothesis as text with spaces; joined, they are its text.
function readableTokens(hypothesis) {
  const { text } = hypothesis, bytes = new TextDecoder();
  const decode = (token) => bytes.decode(Uint8Array.of(parseInt(token.slice(3, 5), 16)), { stream: true });
  const tokens = hypothesis.tokens.map((token) => (BYTE.test(token) ? decode(token) : token)); // the last byte gives the character
  if (tokens.some((token) => token.includes(MARK))) {
    const pieces = tokens.map((token) => token.replaceAll(MARK, " "));
    return [pieces[0].trimStart(), ...pieces.slice(1)];
  }
  if (tokens.join("") === text) return tokens;
  return tokens.map((token, number) => (number ? ` ${token}` : token));
}

// Build a prefix tree with nodes {run, children, hypothesis}. run: the tokens up to the next branch; hypothesis: the
// one that ends at the node, if any.
function buildTree(hypotheses) {
  const root = { run: [], children: [], hypothesis: null };
  for (const hypothesis of hypotheses) {
    let node = root;
    for (const token of readableTokens(hypothesis)) {
      let next = node.children.find((child) => child.run[0] === token);
      if (!next) node.children.push(next = { run: [token], children: [], hypothesis: null });
      node = next;
    }
    node.children.push({ run: [], children: [], hypothesis });
  }
  return mergeRuns(root);
}

function mergeRuns(node) {
  node.children = node.children.map(mergeRuns);
  if (node.children.length !== 1 || node.hypothesis) return node;
  const [only] = node.children;
  return { run: [...node.run, ...only.run], children: only.children, hypothesis: only.hypothesis };
}

function score(value) {
  return value.toFixed(2).replace("-", "\u2212");
}

// Return the list. choose: called with the hypothesis that is clicked. chosen: the text of the one that is shown.
function tree(hypotheses, chosen, choose) {
  const list = (nodes, before) => element("ul", {}, ...nodes.map((node) => {
    const run = node.run.join("");
    const inside = before && /^[\p{L}\p{N}]/u.test(run); // continues a word
    const labels = [
      element("span", { class: "hidden" }, before + run.slice(0, run.search(/\S|$/))),
      element("span", { class: inside ? "run inside" : "run" }, run.trim() || (node.hypothesis ? "(ends here)" : "")),
    ];
    if (!node.hypothesis) return element("li", {}, element("span", { class: "stem" }, labels[1]), list(node.children, before + run));
    const { hypothesis } = node;
    return element("li", {}, element("button", {
      type: "button", class: "leaf", "aria-pressed": String(hypothesis.text === chosen), "data-text": hypothesis.text, onclick: () => choose(hypothesis),
    }, ...labels, " ", element("span", { class: "score", dir: "ltr" }, score(hypothesis.score), hypothesis.finished ? "" : " (cut off)")));
  }));
  const root = buildTree(hypotheses);
  const rootList = list(root.run.length || root.hypothesis ? [root] : root.children, "");
  rootList.className = "tree";
  rootList.dir = direction(hypotheses.map((hypothesis) => hypothesis.text));
  rootList.setAttribute("aria-label", "alternatives by their scores");
  return rootList;
}

// Lay the tree out from left to right if it fits, or else from top to bottom.
function fit(tree) {
  tree.classList.add("across");
  tree.classList.toggle("across", tree.scrollWidth <= tree.clientWidth);
}
