// Requests to the server, and what its errors mean in plain words.
"use strict";

const RETRY_AFTER = 5; // seconds before a retry, unless the server sends Retry-After
const UNKNOWN = "The server cannot translate this. Change the text, or try a part of it.";
const GONE = "This server does not offer that any more. Reload the page.";
const NO_KEY = "This server requires an API key. Enter yours above.";

const byId = (id) => document.getElementById(id);
const served = { models: [], languages: [], settings: {}, examples: [] };

class RequestError extends Error {
  // status: of the response, 0 if there is none. reason: what the server wrote. after: seconds before a retry, or null.
  constructor(status, reason, after = null) {
    super(reason);
    this.status = status;
    this.after = after;
  }
}

// Return the JSON response of the server. Throw RequestError for an error.
async function request(path, content, signal) {
  const options = content
    ? { method: "POST", headers: { "Content-Type": "application/json", ...authorization() }, body: JSON.stringify(content), signal }
    : { headers: authorization(), signal };
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new RequestError(0, "", RETRY_AFTER);
  }
  let body;
  try {
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    if (response.ok) throw new RequestError(1, "");
  }
  if (response.ok) return body;
  throw errorOf(response.status, body, response.headers.get("Retry-After"));
}

// Return the error of a response, whose body is null if it is not JSON.
function errorOf(status, body, retryAfter) {
  const text = body && (body.error || body.message), reason = typeof text === "string" ? text : "";
  console.info(`status ${status}: ${reason}`); // for administrators
  const after = Number(retryAfter) || (status >= 502 && status <= 504 ? RETRY_AFTER : null);
  return new RequestError(status, reason, after);
}

// The API key as a header.
function authorization() {
  return byId("key").value ? { Authorization: `Bearer ${byId("key").value}` } : {};
}

// Return what happened and what to do, for any error.
function explain(error) {
  if (!(error instanceof RequestError)) return "The page failed. Reload it; your text is in its address.";
  return explainStatus(error.status, error.message);
}

// Return the same for a file or a glossary: what is wrong with its content is in the words of the server, which has read it.
function explainContent(error, action) {
  const text = explain(error), { status, message } = error;
  if (!message || (text !== UNKNOWN && status !== 413)) return text;
  const reason = message.replace(/^Invalid request: /, "");
  const [place, line] = reason.match(/^(?:[^:]*\.\w+|entry):(?:(\d+):)? /) || [""]; // the file, which the page names already
  return `The server cannot ${action}: ${line ? `line ${line}: ` : ""}${reason.slice(place.length)}.`;
}

function explainStatus(status, reason) {
  if (status === 0) return "The server cannot be reached. Check that it is running and that you are connected.";
  if (!reason && status >= 502 && status <= 504) return "The server is stopping or restarting.";
  if (!reason && status !== 413) return "The response does not come from a regard server. Check the address, or the proxy in between.";
  if (/are disabled/.test(reason)) return GONE;
  if (/store of suggestions is full/.test(reason)) return "The server has no more space for corrections. Tell its administrator.";
  if (status === 401 || status === 403) return byId("key").value ? "The server rejected this API key. Check it, or ask for a new one." : NO_KEY;
  if (status === 408) return "The connection was too slow. Try again.";
  if (status === 413) return "This is too large for the server. Send it in parts.";
  if (status === 415 || /file format .* not supported/.test(reason)) return "The server cannot read this kind of file. Save it in one of the listed formats.";
  if (status === 421) return "The server does not answer under this address. Ask its administrator to allow the name.";
  if (status === 429) return "You have sent many requests. Wait a moment.";
  if (/stopping/.test(reason)) return "The server is stopping or restarting.";
  if (status === 503 && /took too long/.test(reason)) return "This took too long. Try a shorter text.";
  if (status === 503) return "The server is busy.";
  if (status >= 500) return "The translation failed on the server. Try again; if it fails again, the log of the server says why.";
  const limit = reason.match(/exceeds text limit \((\d+) characters\)/);
  if (limit) return `The text is too long: this server takes ${limit[1]} characters at a time. Shorten it, or translate it in parts.`;
  if (/cannot be detected|auto is not supported/.test(reason)) return "The language cannot be detected. Choose it above.";
  const pair = reason.match(/^(.+ \(.+\)) is not available as a target language from (.+ \(.+\))$/);
  if (pair) return pair[1] === pair[2] ? `This is already in ${pair[1]}. Choose another target language.` : `There is no model from ${pair[2]} to ${pair[1]}. Choose other languages.`;
  if (/is not supported|no such model/.test(reason)) return "The server now has other models. Reload the page to see them.";
  if (/^glossary not found/i.test(reason)) return "This glossary does not exist any more. Choose another one.";
  if (status === 404 || status === 405) return GONE;
  return UNKNOWN;
}

const ICONS = {
  swap: "M7 7h11l-3.5-3.5M17 17H6l3.5 3.5",
  copy: "M9 9h10v11H9zM15 9V4H5v11h4",
  pencil: "M4 20l1-4L16 5l3 3L8 19zM14 7l3 3",
  file: "M6 3h8l4 4v14H6zM14 3v4h4M12 18v-7M9 14l3-3 3 3",
  undo: "M9 5L5 9l4 4M5 9h9a5 5 0 010 10h-3",
};

// Return an icon for a button. It is decoration: the button has a text or a label.
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  for (const [key, value] of [["viewBox", "0 0 24 24"], ["aria-hidden", "true"], ["class", "icon"]]) svg.setAttribute(key, value);
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// Let screen readers announce a text.
function announce(text) {
  byId("announcement").textContent = text;
}
