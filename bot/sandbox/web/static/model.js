// Who is there and what was said: the page's copy of the sandbox's world.
//
// Events: "world" (persons, who I am), "chats" (their order, newest messages, unread ones), "chat"
// (another one is shown), "message" and "removed" (id), "answer" and "action" (entry), "ending".

import { ask } from "./server.js";

export class Model extends EventTarget {
  constructor() {
    super();
    this.persons = new Map();
    this.chats = new Map();
    this.messages = new Map();
    this.unread = new Map();
    this.bot = null;
    this.me = null;
    this.chat = null;
    this.revision = 0;
    this.ending = "";
    this.loadedAt = 0;
  }

  async load() {
    const world = await ask("world");
    this.bot = world.bot;
    this.privacy = world.privacy;
    this.revision = world.revision;
    this.offsetMs = world.now * 1000 - Date.now();
    this.persons = new Map(world.persons.map((person) => [person.id, person]));
    this.chats = new Map(world.chats.map((chat) => [chat.id, chat]));
    this.me = this.persons.get(this.me?.id) ?? world.persons[0] ?? null;
    if (world.ending) this.end(world.ending);
    this.emit("world");
  }

  emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  end(why) {
    if (this.ending) return;
    this.ending = why;
    this.emit("ending");
  }

  get language() {
    return this.me?.language_code?.toLowerCase().startsWith("ru") ? "ru" : "en";
  }

  /** My chats, the newest first. */
  get mine() {
    const mine = [...this.chats.values()].filter(
      (chat) => this.me && String(this.me.id) in chat.members,
    );
    const at = (chat) => chat.last?.raw.date ?? 0;
    return mine.sort((a, b) => at(b) - at(a) || b.id - a.id);
  }

  nameOf(chat) {
    return chat.type === "private" ? this.bot.first_name : chat.title;
  }

  become(personId) {
    const person = this.persons.get(personId);
    if (!person || person === this.me) return;
    this.me = person;
    if (!this.chat || !(String(person.id) in this.chat.members)) this.chat = null;
    this.emit("world");
  }

  /** Shows a chat; null shows none. */
  async open(chatId) {
    const chat = this.chats.get(chatId) ?? null;
    if (!chat) {
      this.chat = null;
      this.emit("chat");
      return;
    }
    const found = await ask("messages", { chat_id: chat.id });
    this.chat = chat;
    this.loadedAt = found.revision;
    this.messages = new Map(found.messages.map((message) => [message.raw.message_id, message]));
    this.unread.delete(this.key(chat.id));
    this.emit("chat");
    this.emit("chats");
  }

  key(chatId, personId = this.me?.id) {
    return `${personId}:${chatId}`;
  }

  apply(entry) {
    this.revision = Math.max(this.revision, entry.seq);
    const chat = this.chats.get(entry.chat_id);
    if (!chat) return;
    if (entry.kind === "block" || entry.kind === "unblock") {
      chat.blocked = entry.kind === "block";
      this.emit("world");
    }
    if (entry.kind === "answer") this.emit("answer", entry);
    if (chat === this.chat && entry.kind === "action") this.emit("action", entry);
    const shown = chat === this.chat && entry.seq > this.loadedAt;
    if (entry.kind === "send") this.take(chat, entry, shown);
    if (entry.kind === "edit") this.change(chat, entry, shown);
    if (entry.kind === "delete" && shown && this.messages.delete(entry.message_id)) {
      this.emit("removed", entry.message_id);
    }
    if (entry.kind === "reaction" && shown) this.react(entry);
  }

  take(chat, entry, shown) {
    const fromBot = entry.by === "bot";
    const message = {
      raw: entry.message,
      from_bot: fromBot,
      silent: Boolean(entry.silent),
      reactions: [],
    };
    chat.last = message;
    chat.started = true;
    if (shown) {
      this.messages.set(entry.message_id, message);
      this.emit("message", entry.message_id);
    }
    for (const personId of Object.keys(chat.members)) this.count(chat, entry, Number(personId));
    this.emit("chats");
  }

  count(chat, entry, personId) {
    const here = chat === this.chat && personId === this.me?.id && !document.hidden;
    if (here || personId === entry.by || personId === this.bot.id) return;
    const key = this.key(chat.id, personId);
    this.unread.set(key, (this.unread.get(key) ?? 0) + 1);
  }

  change(chat, entry, shown) {
    if (chat.last?.raw.message_id === entry.message_id) {
      chat.last = { ...chat.last, raw: entry.message };
      this.emit("chats");
    }
    const old = this.messages.get(entry.message_id);
    if (!shown || !old) return;
    this.messages.set(entry.message_id, { ...old, raw: entry.message });
    this.emit("message", entry.message_id);
  }

  react(entry) {
    const message = this.messages.get(entry.message_id);
    if (!message) return;
    message.reactions = entry.text ? [{ type: "emoji", emoji: entry.text }] : [];
    this.emit("message", entry.message_id);
  }
}
