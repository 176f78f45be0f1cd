// The field below: text, replies, edits, commands, and the button instead of it.

import { byId, dress, el } from "./dom.js";
import { fullName, summarize } from "./bubble.js";
import { openWebApp } from "./keyboard.js";
import { ask, tell } from "./server.js";
import { say } from "./words.js";

const TALLEST_PX = 160;

export class Composer {
  constructor(model, actions) {
    this.model = model;
    this.actions = actions;
    this.text = byId("text");
    this.commands = byId("commands");
    this.replyTo = null;
    this.editing = null;
    this.menu = { commands: [], button: null };
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    this.text.addEventListener("input", () => this.onInput());
    this.text.addEventListener("keydown", (event) => this.onKey(event));
    byId("context-close").addEventListener("click", () => this.setContext(null, null));
    byId("menu").addEventListener("click", () => this.openMenu());
    byId("instead").addEventListener("click", () => this.doInstead());
  }

  draw() {
    const { chat } = this.model;
    dress(byId("send"), "send", say("send"));
    dress(byId("attach"), "attach", say("attach"));
    dress(byId("context-close"), "close", say("cancel"));
    this.text.placeholder = say("placeholder");
    this.text.setAttribute("aria-label", say("placeholder"));
    this.commands.setAttribute("aria-label", say("commands"));
    byId("composer").hidden = !chat;
    if (!chat) return;
    const instead = chat.blocked
      ? "unblock"
      : chat.type === "private" && !chat.started
        ? "start"
        : null;
    byId("instead").hidden = !instead || (chat.blocked && chat.type !== "private");
    byId("line").hidden = !byId("instead").hidden;
    byId("instead").textContent = say(instead ?? "start");
    byId("menu").textContent = say("commands");
    this.setContext(null, null);
    this.actions.attempt(() => this.loadMenu());
  }

  /** What the person may choose here changes with what the bot sets: asked for when needed. */
  async loadMenu() {
    const { chat, me } = this.model;
    if (!chat) return;
    this.menu = await ask("menu", { chat_id: chat.id, user_id: me.id });
    const app = this.menu.button?.type === "web_app" ? this.menu.button : null;
    byId("menu").textContent = app ? app.text : say("commands");
    byId("menu").classList.toggle("app", Boolean(app));
  }

  async openMenu() {
    await this.actions.attempt(() => this.loadMenu());
    if (this.menu.button?.type === "web_app") {
      await openWebApp(this.menu.button, 0, this.model, this.actions);
      return;
    }
    if (this.commands.hidden) this.showCommands("");
    else this.hideCommands();
    this.text.focus();
  }

  async doInstead() {
    const { chat, me } = this.model;
    await this.actions.attempt(async () => {
      if (chat.blocked) await tell("block", { chat_id: chat.id, user_id: me.id, blocked: false });
      else await this.actions.say("/start");
    });
  }

  async submit() {
    const text = this.text.value.trim();
    if (!text) return;
    const { replyTo, editing } = this;
    await this.actions.attempt(async () => {
      if (editing) await this.actions.rewrite(editing, text);
      else await this.actions.say(text, replyTo);
      this.text.value = "";
      this.setContext(null, null);
      this.onInput();
    });
  }

  /** Answer a message, or change one's own; null and null is neither. */
  setContext(kind, message) {
    const leaving = this.editing && kind !== "edit";
    this.replyTo = kind === "reply" ? message.raw.message_id : null;
    this.editing = kind === "edit" ? message.raw.message_id : null;
    byId("context").hidden = !kind;
    if (leaving) this.text.value = "";
    if (!kind) return;
    const label =
      kind === "edit" ? say("editing") : `${say("replying")} ${fullName(message.raw.from)}`;
    byId("context-text").replaceChildren(
      el("strong", {}, label),
      el("span", {}, summarize(message.raw)),
    );
    if (kind === "edit") this.text.value = summarize(message.raw);
    this.onInput();
    this.text.focus();
  }

  onInput() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(TALLEST_PX, this.text.scrollHeight)}px`;
    const typed = /^\/(\w*)$/.exec(this.text.value);
    if (!typed) this.hideCommands();
    else if (this.commands.hidden)
      this.actions.attempt(() => this.loadMenu().then(() => this.showCommands(typed[1])));
    else this.showCommands(typed[1]);
  }

  onKey(event) {
    if (event.isComposing) return;
    const options = this.commands.hidden
      ? []
      : [...this.commands.querySelectorAll("[role=option]")];
    const at = options.findIndex((option) => option.getAttribute("aria-selected") === "true");
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      if (at >= 0) options[at].click();
      else this.submit();
    } else if (options.length && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      this.select(options, (at + step + options.length) % options.length);
    } else if (event.key === "Escape") {
      if (options.length) this.hideCommands();
      else this.setContext(null, null);
    }
  }

  select(options, chosen) {
    options.forEach((option, index) =>
      option.setAttribute("aria-selected", String(index === chosen)),
    );
    options[chosen].scrollIntoView({ block: "nearest" });
  }

  showCommands(beginning) {
    const found = this.menu.commands.filter((each) =>
      each.command.startsWith(beginning.toLowerCase()),
    );
    const options = found.map((each) => {
      const name = el("span", { class: "command-name" }, `/${each.command}`);
      const option = el(
        "div",
        { role: "option", "aria-selected": "false", tabindex: "-1" },
        name,
        el("span", {}, each.description),
      );
      option.addEventListener("click", () => {
        this.hideCommands();
        this.text.value = "";
        this.actions.attempt(() => this.actions.say(`/${each.command}`));
      });
      return option;
    });
    const none = el("p", { class: "none" }, say("noCommands"));
    this.commands.replaceChildren(...(options.length || beginning ? options : [none]));
    this.commands.hidden = !this.commands.children.length;
  }

  hideCommands() {
    this.commands.hidden = true;
  }
}
