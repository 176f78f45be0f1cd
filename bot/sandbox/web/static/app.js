// Puts the page together: the model, what draws it, and what a person can do.

import { fullName } from "./bubble.js";
import { Composer } from "./composer.js";
import { byId, dress, paint, safeUrl, startPayload } from "./dom.js";
import { follow } from "./feed.js";
import { Files } from "./files.js";
import { copy, show } from "./keyboard.js";
import { Log } from "./log.js";
import { Model } from "./model.js";
import { setClock } from "./moments.js";
import { Refusal, tell } from "./server.js";
import { Sidebar } from "./sidebar.js";
import { choose, openMenu, toast } from "./surfaces.js";
import { say, speak } from "./words.js";

const ACTION_MS = 5000;
const model = new Model();

const actions = {
  get botName() {
    return model.bot.username;
  },

  /** A deed that the sandbox may refuse; its words are shown then. */
  async attempt(deed) {
    try {
      await deed();
    } catch (error) {
      if (!(error instanceof Refusal) && !(error instanceof TypeError)) throw error;
      toast(error instanceof Refusal ? error.message : say("lost"));
    }
  },

  say: (text, replyTo = null) =>
    tell("say", { chat_id: model.chat.id, user_id: model.me.id, text, reply_to: replyTo }),

  rewrite: (messageId, text) =>
    tell("edit", { chat_id: model.chat.id, user_id: model.me.id, message_id: messageId, text }),

  command: (text) => actions.attempt(() => actions.say(text)),

  /** A tap on a deep link: the private chat with the bot, and `/start payload` in it. */
  start: (payload) =>
    actions.attempt(async () => {
      await actions.open(model.me.id);
      await actions.say(`/start ${payload}`.trim());
    }),

  follow(target) {
    const payload = startPayload(target, model.bot.username);
    if (payload !== null) actions.start(payload);
    else if (safeUrl(target)) window.open(safeUrl(target), "_blank", "noopener,noreferrer");
  },

  async become(personId) {
    model.become(personId);
    await actions.open(model.chat?.id ?? model.mine[0]?.id);
  },

  async open(chatId) {
    await model.open(chatId);
    setView(model.chat ? "talk" : "list");
    if (model.chat) history.replaceState(null, "", `#${model.me.id}/${model.chat.id}`);
  },

  reveal: (messageId) => log.reveal(messageId),

  openMessageMenu(anchor, messageId) {
    const message = model.messages.get(messageId);
    if (message) openMenu(anchor, messageItems(message));
  },
};

const sidebar = new Sidebar(model, actions);
const log = new Log(model, actions);
const composer = new Composer(model, actions);
const files = new Files(model, composer);
let actionTimer = 0;

function messageItems(message) {
  const { raw } = message;
  const mine = raw.from.id === model.me.id;
  const text = raw.text ?? raw.caption ?? "";
  const deed = { chat_id: model.chat.id, user_id: model.me.id, message_id: raw.message_id };
  const items = [
    [say("reply"), () => composer.setContext("reply", message)],
    [say("forward"), () => forward(raw.message_id)],
  ];
  if (text) items.push([say("copy"), () => copy(text)]);
  if (mine && text) items.push([say("edit"), () => composer.setContext("edit", message)]);
  if (mine || model.chat.type === "private") {
    items.push([say("remove"), () => actions.attempt(() => tell("delete", deed)), true]);
  }
  return items;
}

async function forward(messageId) {
  const source = model.chat.id;
  const target = await choose(
    say("forwardTo"),
    model.mine.map((chat) => [model.nameOf(chat), chat.id]),
  );
  if (target === null) return;
  await actions.attempt(async () => {
    await actions.open(target);
    const deed = {
      chat_id: target,
      user_id: model.me.id,
      source_id: source,
      message_id: messageId,
    };
    await tell("forward", deed);
  });
}

function openChatMenu() {
  const { chat } = model;
  const block = chat.type === "private" ? ["block", "unblock"] : ["kick", "letIn"];
  const deed = { chat_id: chat.id, user_id: model.me.id, blocked: !chat.blocked };
  const run = () => actions.attempt(() => tell("block", deed));
  openMenu(byId("chat-menu"), [[say(block[chat.blocked ? 1 : 0]), run, !chat.blocked]]);
}

function setView(view) {
  byId("app").dataset.view = view;
}

function drawHeading() {
  const { chat } = model;
  dress(byId("back"), "back", say("back"));
  dress(byId("chat-menu"), "more", say("chatMenu"));
  byId("title").textContent = chat ? model.nameOf(chat) : say("pick");
  byId("chat-menu").hidden = !chat;
  byId("chat-avatar").hidden = !chat;
  byId("subtitle").textContent = chat ? describeChat(chat) : "";
  if (chat)
    paint(
      byId("chat-avatar"),
      model.nameOf(chat),
      chat.type === "private" ? model.bot.id : chat.id,
    );
}

function describeChat(chat) {
  if (chat.blocked) return say(chat.type === "private" ? "blocked" : "kicked");
  if (chat.type === "private") return say("bot");
  const persons = Object.keys(chat.members).map((id) => model.persons.get(Number(id)));
  const names = [...persons.filter(Boolean).map(fullName), model.bot.first_name].join(", ");
  return model.privacy ? `${names} · ${say("privacy")}` : names;
}

function showAction(entry) {
  byId("subtitle").textContent = say(entry.action.startsWith("upload") ? "uploading" : "typing");
  clearTimeout(actionTimer);
  actionTimer = setTimeout(drawHeading, ACTION_MS);
}

function showBanner(text) {
  byId("banner").textContent = text;
  byId("banner").hidden = !text;
}

function drawWorld() {
  speak(model.language);
  setClock(model.language, model.offsetMs);
  sidebar.draw();
  files.draw();
  drawHeading();
  composer.draw();
}

function listen() {
  const on = (type, hear) => model.addEventListener(type, (event) => hear(event.detail));
  on("world", drawWorld);
  on("chats", () => sidebar.drawChats());
  on("chat", () => (drawWorld(), log.draw()));
  on("message", (id) => {
    log.update(id);
    if (model.chat.type === "private" && !byId("instead").hidden) composer.draw();
    if (model.messages.get(id).from_bot) drawHeading();
  });
  on("removed", (id) => log.remove(id));
  on("answer", (entry) => show(entry, model));
  on("action", showAction);
  on("ending", () => showBanner(model.ending));
  byId("back").addEventListener("click", () => setView("list"));
  byId("chat-menu").addEventListener("click", openChatMenu);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && model.chat) model.unread.delete(model.key(model.chat.id));
    if (model.me) sidebar.drawChats();
  });
}

async function begin() {
  listen();
  await model.load();
  const [person, chat] = location.hash.slice(1).split("/").map(Number);
  model.become(person);
  await actions.open(model.chats.has(chat) ? chat : model.me?.id);
  await follow(model, (online) => {
    if (!model.ending) showBanner(online ? "" : say("lost"));
  });
}

begin();
