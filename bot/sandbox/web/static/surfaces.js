// What lies over the chat for a moment: toasts, dialogs, menus, Mini Apps.

import { byId, dress, el, icon, safeUrl } from "./dom.js";
import { say } from "./words.js";

const TOAST_MS = 4000;

export function toast(text) {
  const note = el("p", { class: "toast" }, text);
  byId("toasts").append(note);
  setTimeout(() => note.remove(), TOAST_MS);
}

/** A dialog that goes away for good when it is closed; returns it. */
export function dialog(kind, title, ...children) {
  const heading = el("h2", { id: "dialog-title" }, title);
  const sheet = el(
    "dialog",
    { class: `sheet ${kind}`, "aria-labelledby": "dialog-title" },
    heading,
    ...children,
  );
  sheet.addEventListener("close", () => sheet.remove());
  sheet.addEventListener("click", (event) => {
    if (event.target === sheet) sheet.close();
  });
  document.body.append(sheet);
  sheet.showModal();
  return sheet;
}

/** The answer to a press that has to be confirmed. */
export function alertOf(text, title) {
  const ok = el(
    "button",
    { type: "button", class: "primary", onclick: () => sheet.close() },
    say("ok"),
  );
  const sheet = dialog(
    "alert",
    title,
    el("p", { class: "plain" }, text),
    el("div", { class: "ends" }, ok),
  );
  ok.focus();
}

/** A list to choose from; `choices` are `[label, value]`. Resolves to a value or null. */
export function choose(title, choices) {
  return new Promise((resolve) => {
    let chosen = null;
    const buttons = choices.map(([label, value]) =>
      el(
        "button",
        { type: "button", class: "choice", onclick: () => ((chosen = value), sheet.close()) },
        label,
      ),
    );
    const sheet = dialog("choices", title, ...buttons);
    sheet.addEventListener("close", () => resolve(chosen));
  });
}

/** A small menu beside `anchor`; `items` are `[label, action]`, the last maybe `danger`. */
export function openMenu(anchor, items) {
  document.querySelector(".popup")?.remove();
  const popup = el("div", { class: "popup", role: "menu" });
  const close = () => {
    popup.remove();
    document.removeEventListener("pointerdown", outside, true);
    if (anchor.isConnected) anchor.focus({ preventScroll: true });
  };
  const outside = (event) => {
    if (!popup.contains(event.target)) close();
  };
  for (const [label, action, danger] of items) {
    const run = () => {
      close();
      action();
    };
    popup.append(
      el(
        "button",
        { type: "button", role: "menuitem", class: danger ? "danger" : "", onclick: run },
        label,
      ),
    );
  }
  popup.addEventListener("keydown", (event) => steer(event, popup, close));
  document.body.append(popup);
  place(popup, anchor.getBoundingClientRect());
  document.addEventListener("pointerdown", outside, true);
  popup.firstElementChild.focus();
}

function steer(event, popup, close) {
  const items = [...popup.children];
  const at = items.indexOf(document.activeElement);
  if (event.key === "Escape" || event.key === "Tab") close();
  else if (event.key === "ArrowDown") items[(at + 1) % items.length].focus();
  else if (event.key === "ArrowUp") items[(at + items.length - 1) % items.length].focus();
  else return;
  event.preventDefault();
}

function place(popup, box) {
  const { offsetWidth: width, offsetHeight: height } = popup;
  const left = Math.min(Math.max(8, box.right - width), window.innerWidth - width - 8);
  const below = box.bottom + 4;
  const top = below + height > window.innerHeight - 8 ? Math.max(8, box.top - height - 4) : below;
  popup.style.left = `${left}px`;
  popup.style.top = `${top}px`;
}

/** A Mini App in a frame of its own; it may close itself and open links, nothing else. */
export function openApp(title, url, actions) {
  const frame = el("iframe", {
    src: url,
    title,
    referrerpolicy: "no-referrer",
    sandbox:
      "allow-scripts allow-same-origin allow-forms allow-popups allow-downloads allow-modals",
  });
  const shut = el("button", { type: "button", class: "icon" });
  dress(shut, "close", say("close"));
  const properties = { class: "icon", href: url, target: "_blank", rel: "noopener noreferrer" };
  const out = el(
    "a",
    { ...properties, title: say("openTab"), "aria-label": say("openTab") },
    icon("out"),
  );
  const sheet = dialog("app", title, el("div", { class: "app-buttons" }, out, shut), frame);
  const hear = (event) => {
    if (event.source === frame.contentWindow) obey(event.data, sheet, actions);
  };
  shut.addEventListener("click", () => sheet.close());
  window.addEventListener("message", hear);
  sheet.addEventListener("close", () => window.removeEventListener("message", hear));
}

/** Events of core.telegram.org/api/web-events that make sense here. */
function obey(data, sheet, actions) {
  let event;
  try {
    event = typeof data === "string" ? JSON.parse(data) : data;
  } catch {
    return;
  }
  const told = event?.eventData ?? {};
  if (event?.eventType === "web_app_close") sheet.close();
  if (event?.eventType === "web_app_open_link") {
    const href = safeUrl(String(told.url ?? ""));
    if (href) window.open(href, "_blank", "noopener,noreferrer");
  }
  if (event?.eventType === "web_app_open_tg_link") {
    sheet.close();
    actions.follow(`https://t.me${told.path_full ?? ""}`);
  }
}

/** Colours of the page as a Mini App is told them. */
export function theme() {
  const style = getComputedStyle(document.documentElement);
  const names = {
    bg_color: "--paper",
    secondary_bg_color: "--side",
    text_color: "--ink",
    hint_color: "--dim",
  };
  Object.assign(names, {
    link_color: "--accent",
    button_color: "--accent",
    button_text_color: "--on-accent",
  });
  return Object.fromEntries(
    Object.entries(names).map(([name, variable]) => [
      name,
      style.getPropertyValue(variable).trim(),
    ]),
  );
}
