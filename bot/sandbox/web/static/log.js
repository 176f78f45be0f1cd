// The messages of the shown chat: drawn once, then changed one by one.

import { byId, dress, el } from "./dom.js";
import { renderBubble } from "./bubble.js";
import { tellDay } from "./moments.js";
import { say } from "./words.js";

const NEAR_PX = 120;
const EFFECT_MS = 2600;

export class Log {
  constructor(model, actions) {
    this.model = model;
    this.actions = actions;
    this.node = byId("log");
    this.down = byId("down");
    this.node.addEventListener("scroll", () => this.showDown());
    this.down.addEventListener("click", () => this.toEnd());
    this.node.addEventListener("contextmenu", (event) => this.openMenu(event));
    // pictures get their height only when they have come
    this.node.addEventListener("load", () => this.keepEnd(), true);
    this.node.addEventListener("loadedmetadata", () => this.keepEnd(), true);
  }

  draw() {
    const { chat, messages } = this.model;
    dress(this.down, "down", say("down"));
    this.node.setAttribute("aria-label", chat ? this.model.nameOf(chat) : say("pick"));
    this.node.replaceChildren();
    for (const id of [...messages.keys()].sort((a, b) => a - b)) this.append(messages.get(id));
    this.showEmpty();
    this.atEnd = true;
    this.toEnd();
  }

  /** A message is new or has changed. */
  update(id) {
    const message = this.model.messages.get(id);
    const old = this.find(id);
    this.node.querySelector(".empty")?.remove();
    if (old) {
      this.replace(old, message);
    } else {
      this.append(message);
      if (message.raw.effect_id) this.celebrate();
    }
    if (this.atEnd || message.raw.from.id === this.model.me.id) this.toEnd();
    else this.showDown();
  }

  remove(id) {
    this.find(id)?.remove();
    this.showEmpty();
    this.showDown();
  }

  reveal(id) {
    const row = this.find(id);
    if (!row) return;
    row.scrollIntoView({ block: "center", behavior: "smooth" });
    row.classList.add("found");
    setTimeout(() => row.classList.remove("found"), 1500);
  }

  find(id) {
    return this.node.querySelector(`article[data-id="${Number(id)}"]`);
  }

  append(message) {
    const day = tellDay(message.raw.date);
    const last = [...this.node.querySelectorAll(".day")].at(-1);
    if (last?.textContent !== day) this.node.append(el("p", { class: "day" }, day));
    this.node.append(this.render(message));
  }

  replace(old, message) {
    // a video that plays goes on while the text around it changes
    const fresh = this.render(message);
    const [before, after] = [old.querySelector("video"), fresh.querySelector("video")];
    if (before && after && before.src === after.src) after.replaceWith(before);
    const focused = this.focusedKey(old);
    old.replaceWith(fresh);
    if (focused >= 0) fresh.querySelectorAll(".key")[focused]?.focus({ preventScroll: true });
  }

  focusedKey(row) {
    return [...row.querySelectorAll(".key")].indexOf(document.activeElement);
  }

  render(message) {
    return renderBubble(message, this.model, this.actions);
  }

  showEmpty() {
    const { chat, messages } = this.model;
    if (messages.size) return;
    const key = !chat ? "pick" : chat.type === "private" ? "empty" : "emptyGroup";
    this.node.replaceChildren(el("p", { class: "empty" }, say(key)));
  }

  showDown() {
    const left = this.node.scrollHeight - this.node.scrollTop - this.node.clientHeight;
    this.atEnd = left < NEAR_PX;
    this.down.hidden = this.atEnd;
  }

  keepEnd() {
    if (this.atEnd) this.toEnd();
  }

  toEnd() {
    this.node.scrollTop = this.node.scrollHeight;
    this.atEnd = true;
    this.down.hidden = true;
  }

  openMenu(event) {
    const row = event.target.closest("article");
    if (!row || event.target.closest("a, video, input")) return;
    event.preventDefault();
    this.actions.openMessageMenu(row.querySelector(".handle"), Number(row.dataset.id));
  }

  /** What a message with an effect arrives with. */
  celebrate() {
    const shower = el("div", { class: "shower", "aria-hidden": "true" });
    for (let each = 0; each < 14; each += 1) shower.append(el("span", {}, "🎉"));
    byId("talk").append(shower);
    setTimeout(() => shower.remove(), EFFECT_MS);
  }
}
