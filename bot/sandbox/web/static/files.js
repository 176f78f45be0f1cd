// Sending files: chosen or dropped, as they are or as videos and photos, several as albums.

import { byId, dress, el } from "./dom.js";
import { measure } from "./media.js";
import { upload } from "./server.js";
import { dialog, toast } from "./surfaces.js";
import { say, saySize } from "./words.js";

const ALBUM = 10;

export class Files {
  constructor(model, composer) {
    this.model = model;
    this.composer = composer;
    this.stop = null;
    const input = byId("files");
    byId("attach").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.ask([...input.files]);
      input.value = "";
    });
    byId("sending-stop").addEventListener("click", () => this.stop?.abort());
    byId("text").addEventListener("paste", (event) => {
      if (event.clipboardData.files.length) this.ask([...event.clipboardData.files]);
    });
    this.listen(byId("talk"));
  }

  draw() {
    byId("drop-text").textContent = say("drop");
    dress(byId("sending-stop"), "close", say("stop"));
    byId("files").setAttribute("aria-label", say("attach"));
  }

  listen(target) {
    const has = (event) => this.model.chat && event.dataTransfer?.types.includes("Files");
    target.addEventListener("dragover", (event) => {
      if (!has(event)) return;
      event.preventDefault();
      byId("drop").classList.add("over");
    });
    target.addEventListener("dragleave", (event) => {
      if (!target.contains(event.relatedTarget)) byId("drop").classList.remove("over");
    });
    target.addEventListener("drop", (event) => {
      byId("drop").classList.remove("over");
      if (!has(event)) return;
      event.preventDefault();
      this.ask([...event.dataTransfer.files]);
    });
  }

  /** How to send them, with which words. */
  ask(files) {
    if (!files.length || !this.model.chat) return;
    const list = el("ul", { class: "picked" });
    list.append(
      ...files.map((file) =>
        el("li", {}, el("span", {}, file.name), el("small", {}, saySize(file.size))),
      ),
    );
    const asFile = this.radio("document", say("asFile"), true);
    const asMedia = this.radio("media", say("asMedia"), false);
    const caption = el("textarea", {
      rows: "2",
      maxlength: "1024",
      placeholder: say("caption"),
      "aria-label": say("caption"),
    });
    const send = el("button", { class: "primary", "data-action": "send-files" }, say("send"));
    const cancel = el("button", { type: "button", onclick: () => sheet.close() }, say("cancel"));
    const form = el(
      "form",
      { method: "dialog", class: "fields" },
      list,
      asFile,
      asMedia,
      caption,
      el("div", { class: "ends" }, cancel, send),
    );
    form.addEventListener("submit", () => {
      const asked = new FormData(form).get("kind");
      this.send(files, asked === "media", caption.value.trim());
    });
    const sheet = dialog("small", say("sendFiles"), form);
    send.focus();
  }

  radio(value, label, checked) {
    return el(
      "label",
      { class: "radio" },
      el("input", { type: "radio", name: "kind", value, checked }),
      label,
    );
  }

  async send(files, asMedia, caption) {
    const items = await Promise.all(files.map((file) => describe(file, asMedia)));
    // documents travel only among themselves
    const media = items.filter((item) => item.options.kind !== "document");
    const plain = items.filter((item) => item.options.kind === "document");
    let words = caption;
    for (const group of [media, plain]) {
      for (let at = 0; at < group.length; at += ALBUM) {
        if (!(await this.sendAlbum(group.slice(at, at + ALBUM), words))) return;
        words = "";
      }
    }
  }

  /** True if it was sent. */
  async sendAlbum(items, caption) {
    const { chat, me } = this.model;
    items[0].options.caption = caption;
    const options = { chat_id: chat.id, user_id: me.id, reply_to: this.composer.replyTo };
    const names = items.map((item) => item.file.name).join(", ");
    this.stop = new AbortController();
    this.show(names, 0);
    try {
      const media = items.map((item) => item.options);
      const files = items.map((item) => item.file);
      await upload(
        { ...options, media },
        files,
        (share) => this.show(names, share),
        this.stop.signal,
      );
      this.composer.setContext(null, null);
      return true;
    } catch (error) {
      if (error.name !== "AbortError") toast(error.message);
      return false;
    } finally {
      byId("sending").hidden = true;
    }
  }

  show(names, share) {
    byId("sending").hidden = false;
    byId("sending-bar").value = share;
    byId("sending-text").textContent = `${say("sending")} ${names} · ${Math.round(100 * share)}%`;
  }
}

async function describe(file, asMedia) {
  const options = { kind: "document", file_name: file.name };
  if (asMedia && ["image/png", "image/jpeg"].includes(file.type)) options.kind = "photo";
  if (asMedia && file.type.startsWith("video/"))
    Object.assign(options, { kind: "video" }, await measure(file));
  return { file, options };
}
