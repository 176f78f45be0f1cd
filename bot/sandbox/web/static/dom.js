// Small helpers around the DOM. Foreign text only ever becomes a text node.

const SVG = "http://www.w3.org/2000/svg";

/** An element; `on…` properties are listeners, the others attributes, children nodes or text. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function byId(id) {
  return document.getElementById(id);
}

const PATHS = {
  attach:
    "M20 11.5l-8.2 8.2a5 5 0 0 1-7.1-7.1l8.6-8.6a3.4 3.4 0 0 1 4.8 4.8l-8.5 8.5" +
    "a1.7 1.7 0 0 1-2.4-2.4l7.8-7.8",
  send: "M4 12l16-8-6 16-2.5-6.5z",
  back: "M15 5l-7 7 7 7",
  more: "M12 5.5v.01M12 12v.01M12 18.5v.01",
  close: "M6 6l12 12M18 6L6 18",
  add: "M12 5v14M5 12h14",
  down: "M6 9l6 6 6-6",
  file: "M7 3h7l4 4v14H7zM14 3v4h4",
  quiet: "M6 16V11a6 6 0 0 1 9-5M18 11v5l1.5 2H8M10.5 20.5h3M4 4l16 16",
  link: "M9 15L19 5M12 5h7v7",
  app: "M5 5h14v14H5zM5 10h14",
  copy: "M9 9h10v10H9zM5 15V5h10",
  reply: "M10 6l-6 6 6 6M4 12h9a7 7 0 0 1 7 7",
  out: "M14 5h5v5M19 5l-9 9M10 6H5v13h13v-5",
};

/** A line drawing of 24×24 units in the text's colour. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `drawing draw-${name}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** Gives a button its drawing and its name for those who do not see it. */
export function dress(button, drawing, label) {
  button.replaceChildren(icon(drawing));
  button.setAttribute("aria-label", label);
  button.title = label;
}

/** The address, if a browser may go there; else null. */
export function safeUrl(text) {
  try {
    const url = new URL(/^[a-z][a-z0-9+.-]*:/i.test(text) ? text : `https://${text}`);
    return ["https:", "http:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/** The payload of `https://t.me/<bot>?start=…`, else null. */
export function startPayload(text, botName) {
  const href = safeUrl(text);
  if (!href) return null;
  const url = new URL(href);
  const path = url.pathname.replace(/^\/|\/$/g, "").toLowerCase();
  if (url.hostname !== "t.me" || path !== botName.toLowerCase()) return null;
  const payload = url.searchParams.get("start") ?? "";
  return /^[A-Za-z0-9_-]{0,64}$/.test(payload) ? payload : null;
}

/** A steady hue per name, for the round picture with initials. */
export function paint(avatar, name, id) {
  const letters = [...name.replace(/[^\p{L}\p{N} ]/gu, "").trim()];
  avatar.textContent = (letters[0] ?? "•").toUpperCase();
  avatar.dataset.hue = String(Math.abs(id) % 6);
}
