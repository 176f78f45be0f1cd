// A text and its entities as nodes. Offsets are UTF-16 units, as the strings of this language.

import { el, safeUrl, startPayload } from "./dom.js";
import { tellFully, tellMoment } from "./moments.js";
import { say } from "./words.js";

const TAGS = {
  bold: "strong",
  italic: "em",
  underline: "u",
  strikethrough: "s",
  code: "code",
  pre: "pre",
  blockquote: "blockquote",
  expandable_blockquote: "blockquote",
};
const BLOCKS = new Set(["pre", "blockquote", "expandable_blockquote"]);
const DETECTED = /https?:\/\/[^\s<>"]+|(?<![\w/:.])\/[a-z0-9_]{1,32}(?:@\w{3,32})?(?![\w/])/gi;

/** `actions`: `botName`, `start(payload)` and `command(text)`. */
export function renderText(text, entities, actions) {
  const all = [...(entities ?? []), ...detect(text, entities ?? [])];
  all.sort((a, b) => a.offset - b.offset || b.length - a.length || rank(a) - rank(b));
  const fragment = document.createDocumentFragment();
  fragment.append(...build(text, 0, text.length, all, actions));
  return fragment;
}

/** Of two over the same text the block is the outer one. */
function rank(entity) {
  return BLOCKS.has(entity.type) ? 0 : 1;
}

/** Links and commands that the sender did not mark; apps find them by themselves. */
function detect(text, entities) {
  const found = [];
  for (const match of text.matchAll(DETECTED)) {
    const from = match.index;
    const length = match[0].length;
    const taken = entities.some(
      (each) => each.offset < from + length && from < each.offset + each.length,
    );
    const type = match[0].startsWith("/") ? "bot_command" : "url";
    if (!taken) found.push({ type, offset: from, length });
  }
  return found;
}

function build(text, start, end, entities, actions) {
  const nodes = [];
  let at = start;
  while (entities.length) {
    const entity = entities.shift();
    const from = Math.max(entity.offset, at);
    const to = Math.min(entity.offset + entity.length, end);
    if (to <= from) continue;
    if (from > at) nodes.push(text.slice(at, from));
    const inner = [];
    while (entities.length && entities[0].offset < to) inner.push(entities.shift());
    // what sticks out of its neighbour goes on behind it
    const rest = inner
      .filter((each) => each.offset + each.length > to)
      .map((each) => ({ ...each, offset: to, length: each.offset + each.length - to }));
    entities.unshift(...rest);
    nodes.push(wrap(entity, text.slice(from, to), build(text, from, to, inner, actions), actions));
    // a block ends its line by itself
    at = BLOCKS.has(entity.type) && text[to] === "\n" ? to + 1 : to;
  }
  if (at < end) nodes.push(text.slice(at, end));
  return nodes;
}

function wrap(entity, text, children, actions) {
  switch (entity.type) {
    case "url":
      return link(text, children, actions);
    case "text_link":
      return link(entity.url, children, actions);
    case "bot_command":
      return el(
        "button",
        { type: "button", class: "inline", onclick: () => actions.command(text) },
        children,
      );
    case "spoiler":
      return spoiler(children);
    case "date_time":
      return moment(entity, children);
    case "expandable_blockquote":
      return expandable(children);
    case "pre":
      return el("pre", entity.language ? { "data-language": entity.language } : {}, children);
    default:
      return el(TAGS[entity.type] ?? "span", {}, children);
  }
}

function link(target, children, actions) {
  const payload = startPayload(target, actions.botName);
  if (payload !== null) {
    return el(
      "button",
      { type: "button", class: "inline", onclick: () => actions.start(payload) },
      children,
    );
  }
  const href = safeUrl(target);
  if (!href) return el("span", {}, children);
  return el("a", { href, target: "_blank", rel: "noopener noreferrer", title: href }, children);
}

function spoiler(children) {
  const hidden = el("span", {
    class: "spoiler",
    role: "button",
    tabindex: "0",
    "aria-label": say("spoiler"),
  });
  const inner = el("span", { "aria-hidden": "true" }, children);
  const reveal = () => {
    hidden.replaceWith(el("span", {}, ...inner.childNodes));
  };
  hidden.append(inner);
  hidden.addEventListener("click", reveal);
  hidden.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") reveal();
  });
  return hidden;
}

function moment(entity, children) {
  const format = entity.date_time_format ?? "";
  const date = new Date(entity.unix_time * 1000);
  if (Number.isNaN(date.getTime())) return el("span", {}, children);
  // it changes each second: not to be read out again and again
  const properties = {
    datetime: date.toISOString(),
    title: tellFully(entity.unix_time),
    "aria-live": "off",
    "data-unix": String(entity.unix_time),
    "data-format": format,
  };
  return el("time", properties, format ? tellMoment(entity.unix_time, format) : children);
}

function expandable(children) {
  const quote = el("blockquote", { class: "folded" }, el("div", {}, children));
  const toggle = el(
    "button",
    { type: "button", class: "fold", "aria-expanded": "false" },
    say("more"),
  );
  toggle.addEventListener("click", () => {
    const folded = quote.classList.toggle("folded");
    toggle.setAttribute("aria-expanded", String(!folded));
    toggle.textContent = say(folded ? "more" : "less");
  });
  quote.append(toggle);
  requestAnimationFrame(() => {
    // nothing is folded away where all of it can be seen
    toggle.hidden = quote.firstChild.scrollHeight <= quote.firstChild.clientHeight;
  });
  return quote;
}
