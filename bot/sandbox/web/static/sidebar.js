// Who one is, and the list of chats.

import { byId, dress, el, paint } from "./dom.js";
import { fullName, summarize } from "./bubble.js";
import { tellTime } from "./moments.js";
import { tell } from "./server.js";
import { dialog } from "./surfaces.js";
import { say } from "./words.js";

export class Sidebar {
  constructor(model, actions) {
    this.model = model;
    this.actions = actions;
    this.person = byId("person");
    this.person.addEventListener("change", () => actions.become(Number(this.person.value)));
    byId("add-person").addEventListener("click", () => this.askForPerson());
  }

  draw() {
    const { model } = this;
    byId("who-label").textContent = say("you");
    byId("note").textContent = say("note");
    byId("chats").setAttribute("aria-label", say("chats"));
    dress(byId("add-person"), "add", say("addPerson"));
    this.person.replaceChildren(
      ...[...model.persons.values()].map((person) =>
        el(
          "option",
          { value: String(person.id), selected: person === model.me },
          fullName(person),
        ),
      ),
    );
    if (model.me) paint(byId("person-avatar"), model.me.first_name, model.me.id);
    this.drawChats();
  }

  drawChats() {
    const focused = document.activeElement?.dataset?.chat;
    byId("chats").replaceChildren(...this.model.mine.map((chat) => this.renderChat(chat)));
    if (focused)
      byId("chats")
        .querySelector(`[data-chat="${Number(focused)}"]`)
        ?.focus();
    const count = [...this.model.unread.values()].reduce((sum, each) => sum + each, 0);
    document.title = count ? `(${count}) noxfvr` : "noxfvr";
  }

  renderChat(chat) {
    const { model } = this;
    const avatar = el("span", { class: "avatar", "aria-hidden": "true" });
    paint(avatar, model.nameOf(chat), chat.type === "private" ? model.bot.id : chat.id);
    const last = chat.last;
    const words = last ? this.quote(chat, last.raw) : "";
    const top = el(
      "span",
      { class: "chat-top" },
      el("span", { class: "chat-name" }, model.nameOf(chat)),
    );
    if (last) top.append(el("span", { class: "chat-time" }, tellTime(last.raw.date)));
    const bottom = el("span", { class: "chat-bottom" }, el("span", { class: "chat-last" }, words));
    const unread = model.unread.get(model.key(chat.id));
    if (unread) {
      bottom.append(
        el("span", { class: "count", "aria-label": `${unread} ${say("unread")}` }, String(unread)),
      );
    }
    const shown = chat === model.chat;
    const go = () => this.actions.open(chat.id);
    const properties = {
      type: "button",
      class: "chat",
      "data-chat": String(chat.id),
      onclick: go,
    };
    if (shown) properties["aria-current"] = "true";
    return el("button", properties, avatar, el("span", { class: "chat-words" }, top, bottom));
  }

  quote(chat, raw) {
    const line = summarize(raw).replace(/\s+/g, " ");
    return chat.type === "private" ? line : `${raw.from.first_name}: ${line}`;
  }

  askForPerson() {
    const name = el("input", { type: "text", required: true, maxlength: "64", id: "new-name" });
    const language = el(
      "select",
      { id: "new-language" },
      el("option", { value: "en" }, "English"),
      el("option", { value: "ru" }, "Русский"),
    );
    const form = el(
      "form",
      { method: "dialog", class: "fields" },
      el("label", { for: "new-name" }, say("name")),
      name,
      el("label", { for: "new-language" }, say("language")),
      language,
      el("div", { class: "ends" }, el("button", { class: "primary" }, say("add"))),
    );
    form.addEventListener("submit", () => this.addPerson(name.value.trim(), language.value));
    dialog("small", say("addPerson"), form);
    name.focus();
  }

  async addPerson(name, language) {
    if (!name) return;
    const id = Math.max(...this.model.persons.keys(), 100) + 100;
    await this.actions.attempt(async () => {
      await tell("persons", { id, first_name: name, language_code: language });
      await this.model.load();
      await this.actions.become(id);
    });
  }
}
