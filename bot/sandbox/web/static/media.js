// Photos, videos and files of a message.

import { el, icon } from "./dom.js";
import { fileUrl } from "./server.js";
import { dialog } from "./surfaces.js";
import { say, saySize } from "./words.js";

const LARGEST_PX = 420;

/** The media of a message as a node, or null. */
export function renderMedia(raw) {
  if (raw.photo) return renderPhoto(raw.photo.at(-1), raw);
  if (raw.video) return renderVideo(raw.video, raw);
  if (raw.document) return renderFile(raw.document);
  return null;
}

/** What a message without words is called: in the list of chats, in replies. */
export function nameMedia(raw) {
  if (raw.photo) return say("photo");
  if (raw.video) return raw.video.file_name || say("video");
  if (raw.document) return raw.document.file_name || say("file");
  return "";
}

function fit(node, width, height) {
  // upright ones are held by their height
  const scale = Math.min(1, LARGEST_PX / Math.max(width, height * 0.9));
  node.style.aspectRatio = `${width} / ${height}`;
  node.style.width = `${Math.max(160, Math.round(width * scale))}px`;
}

function renderPhoto(size, raw) {
  const url = fileUrl(size.file_id);
  const image = el("img", { src: url, alt: raw.caption || say("photo") });
  const button = el(
    "button",
    { type: "button", class: "photo", "aria-label": say("photo") },
    image,
  );
  fit(button, size.width, size.height);
  button.addEventListener("click", () => {
    const large = el("img", { src: url, alt: raw.caption || say("photo") });
    const sheet = dialog("picture", say("photo"), large);
    large.addEventListener("click", () => sheet.close());
  });
  if (raw.has_media_spoiler) button.classList.add("veiled");
  return button;
}

function renderVideo(video, raw) {
  const properties = {
    controls: true,
    playsinline: true,
    preload: "metadata",
    src: fileUrl(video.file_id),
  };
  if (video.thumbnail) properties.poster = fileUrl(video.thumbnail.file_id);
  const player = el("video", { ...properties, "aria-label": raw.caption || nameMedia(raw) });
  fit(player, video.width, video.height);
  // the bot may have named no size, or another
  player.addEventListener("loadedmetadata", () => {
    if (player.videoWidth) fit(player, player.videoWidth, player.videoHeight);
  });
  const save = el("a", {
    class: "save",
    href: fileUrl(video.file_id, { save: true }),
    download: "",
  });
  save.append(`${video.file_name ?? say("video")} · ${saySize(video.file_size ?? 0)}`);
  save.setAttribute("aria-label", `${say("download")}: ${video.file_name ?? say("video")}`);
  return el("div", { class: "film" }, player, save);
}

function renderFile(file) {
  const name = file.file_name || say("file");
  const href = fileUrl(file.file_id, { save: true });
  const words = el("span", { class: "file-words" }, el("span", { class: "file-name" }, name));
  words.append(el("span", { class: "file-size" }, saySize(file.file_size ?? 0)));
  return el(
    "a",
    { class: "file", href, download: "", title: say("download") },
    el("span", { class: "file-icon" }, icon("file")),
    words,
  );
}

/** Pixels and whole seconds of a video that a person is about to send, as far as they show. */
export function measure(file) {
  return new Promise((resolve) => {
    const url = URL.createObjectURL(file);
    const player = el("video", { preload: "metadata" });
    const finish = (found) => {
      clearTimeout(limit);
      player.removeAttribute("src");
      URL.revokeObjectURL(url);
      resolve(found);
    };
    const limit = setTimeout(() => finish({}), 3000);
    player.onerror = () => finish({});
    player.onloadedmetadata = () => {
      const { videoWidth: width, videoHeight: height, duration } = player;
      const length = Number.isFinite(duration) ? { duration_s: Math.round(duration) } : {};
      finish(width && height ? { width, height, ...length } : {});
    };
    player.src = url;
  });
}
