// One message: who, what it answers, media, text, time, reactions, buttons.

import { dress, el, icon } from "./dom.js";
import { renderText } from "./entities.js";
import { renderKeyboard } from "./keyboard.js";
import { nameMedia, renderMedia } from "./media.js";
import { tellFully, tellTime } from "./moments.js";
import { say } from "./words.js";

/** A row of the log for a message as it is now. */
export function renderBubble(message, model, actions) {
  const raw = message.raw;
  const mine = raw.from.id === model.me.id;
  const body = el("div", { class: "bubble" });
  if (model.chat.type !== "private" && !mine) {
    body.append(
      el("p", { class: "sender", "data-hue": String(raw.from.id % 6) }, fullName(raw.from)),
    );
  }
  if (raw.forward_origin) body.append(renderOrigin(raw.forward_origin));
  if (raw.reply_to_message) body.append(renderReply(raw.reply_to_message, actions));
  const media = renderMedia(raw);
  const text = raw.text ?? raw.caption ?? "";
  const words = text
    ? el(
        "div",
        { class: "words" },
        renderText(text, raw.entities ?? raw.caption_entities, actions),
      )
    : null;
  body.append(...[raw.show_caption_above_media ? words : null, media].filter(Boolean));
  if (words && !raw.show_caption_above_media) body.append(words);
  body.append(renderFoot(message, mine));
  const row = el("article", {
    class: `message ${mine ? "mine" : "theirs"}`,
    "data-id": String(raw.message_id),
  });
  row.setAttribute("aria-label", `${fullName(raw.from)}, ${tellTime(raw.date)}`);
  if (media) row.classList.add("with-media");
  row.append(
    el("div", { class: "stack" }, body, renderKeyboard(message, model, actions)),
    renderHandle(message, actions),
  );
  return row;
}

export function fullName(user) {
  return [user.first_name, user.last_name].filter(Boolean).join(" ");
}

/** One line about a message, for lists and replies. */
export function summarize(raw) {
  return raw.text ?? raw.caption ?? nameMedia(raw);
}

function renderOrigin(origin) {
  const name = origin.sender_user ? fullName(origin.sender_user) : origin.sender_user_name;
  return el(
    "p",
    { class: "origin" },
    `${say("forwarded")} `,
    el("strong", {}, name ?? say("hiddenName")),
  );
}

function renderReply(target, actions) {
  const go = () => actions.reveal(target.message_id);
  const name = el("span", { class: "reply-name" }, fullName(target.from));
  return el(
    "button",
    { type: "button", class: "reply", onclick: go },
    name,
    el("span", { class: "reply-words" }, summarize(target)),
  );
}

function renderFoot(message, mine) {
  const raw = message.raw;
  const foot = el("p", { class: "foot" });
  for (const reaction of message.reactions) {
    foot.append(
      el(
        "span",
        { class: "reaction", role: "img", "aria-label": `${say("reaction")} ${reaction.emoji}` },
        reaction.emoji,
      ),
    );
  }
  const end = el("span", { class: "when", title: tellFully(raw.date) });
  if (message.silent) {
    end.append(
      el(
        "span",
        { class: "quiet", title: say("silent"), role: "img", "aria-label": say("silent") },
        icon("quiet"),
      ),
    );
  }
  if (raw.edit_date && mine) end.append(`${say("edited")} `);
  end.append(tellTime(raw.date));
  foot.append(end);
  return foot;
}

function renderHandle(message, actions) {
  const handle = el("button", { type: "button", class: "icon handle", "aria-haspopup": "menu" });
  dress(handle, "more", say("actions"));
  handle.addEventListener("click", () => actions.openMessageMenu(handle, message.raw.message_id));
  return handle;
}
