// Inline keyboards: what each button does, and what the bot answers to a press.

import { el, icon, safeUrl, startPayload } from "./dom.js";
import { tell } from "./server.js";
import { alertOf, openApp, theme, toast } from "./surfaces.js";
import { say } from "./words.js";

const ANSWER_MS = 30000;
const STYLES = new Set(["danger", "success", "primary"]);

/** The presses of this page that wait for an answer: buttons by the id of the query. */
const waiting = new Map();
/** Answers that came before this page knew of the press. */
const early = new Map();

export function renderKeyboard(message, model, actions) {
  const rows = message.raw.reply_markup?.inline_keyboard ?? [];
  if (!rows.length) return null;
  const board = el("div", { class: "keyboard" });
  for (const row of rows) {
    const line = el("div", { class: "keys" });
    line.append(...row.map((button) => renderButton(button, message, model, actions)));
    board.append(line);
  }
  return board;
}

function renderButton(button, message, model, actions) {
  const style = STYLES.has(button.style) ? `is-${button.style}` : "";
  if (button.disabled) {
    return el(
      "button",
      { type: "button", class: `key ${style}`, disabled: true, title: say("disabled") },
      button.text,
    );
  }
  if (button.url) return renderLink(button, style, actions);
  const key = el("button", { type: "button", class: `key ${style}` }, button.text);
  if (button.web_app) {
    mark(key, "app", say("buttonApp"));
    key.addEventListener("click", () =>
      openWebApp(button, message.raw.message_id, model, actions),
    );
  } else if (button.copy_text) {
    mark(key, "copy", say("buttonCopy"));
    key.addEventListener("click", () => copy(button.copy_text.text));
  } else {
    key.addEventListener("click", () => press(key, button, message, model));
  }
  return key;
}

function renderLink(button, style, actions) {
  const payload = startPayload(button.url, actions.botName);
  if (payload !== null) {
    return el(
      "button",
      { type: "button", class: `key ${style}`, onclick: () => actions.start(payload) },
      button.text,
    );
  }
  const href = safeUrl(button.url);
  const properties = {
    class: `key ${style}`,
    target: "_blank",
    rel: "noopener noreferrer",
    title: button.url,
  };
  const key = el("a", href ? { ...properties, href } : properties, button.text);
  mark(key, "link", say("buttonUrl"));
  return key;
}

function mark(key, drawing, hint) {
  key.append(icon(drawing), el("span", { class: "unseen" }, ` (${hint})`));
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(say("copied"));
  } catch (error) {
    toast(error.message);
  }
}

/** Opens the Mini App of a button, or without a message that of the menu button. */
export async function openWebApp(button, messageId, model, actions) {
  const deed = { chat_id: model.chat.id, user_id: model.me.id, message_id: messageId };
  await actions.attempt(async () => {
    const opened = await tell("web_app", { ...deed, url: button.web_app.url, theme: theme() });
    openApp(button.text, opened.url, actions);
  });
}

async function press(key, button, message, model) {
  if (key.getAttribute("aria-busy") === "true") return;
  key.setAttribute("aria-busy", "true");
  const deed = {
    chat_id: message.raw.chat.id,
    user_id: model.me.id,
    message_id: message.raw.message_id,
  };
  try {
    const { query_id: id } = await tell("press", { ...deed, button: button.callback_data });
    const limit = setTimeout(() => {
      if (finish(id)) toast(say("unanswered"));
    }, ANSWER_MS);
    waiting.set(id, { key, limit });
    // an answer can be faster than this page's own call
    if (early.has(id)) show(early.get(id), model);
  } catch (error) {
    key.removeAttribute("aria-busy");
    toast(error.message);
  }
}

function finish(id) {
  const press = waiting.get(id);
  if (!press) return false;
  waiting.delete(id);
  early.delete(id);
  clearTimeout(press.limit);
  press.key.removeAttribute("aria-busy");
  return true;
}

/** What the bot answered to a press: a toast, or an alert that wants an OK. */
export function show(answer, model) {
  if (!finish(answer.query_id)) {
    early.set(answer.query_id, answer);
    if (early.size > 50) early.delete(early.keys().next().value);
    return;
  }
  if (!answer.text) return;
  if (answer.show_alert) alertOf(answer.text, model.bot.first_name);
  else toast(answer.text);
}
