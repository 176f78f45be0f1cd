// What is seen of the page, and what its buttons do.

import { Refusal, Sender, Server, Unreadable } from "./sender.js";
import { greet, holdOpen, initData } from "./telegram.js";

const LOOK_MS = 1500;
const facts = JSON.parse(document.getElementById("facts").textContent);
const server = new Server(location.pathname.replace(/\/+$/, ""));
const $ = (id) => document.getElementById(id);

let sender = null;
let drawing = false;
let lock = null;

// --- texts -----------------------------------------------------------------------------------

function say(key, values = {}) {
  return facts.texts[key].replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
}

function number(value, digits = 1) {
  return new Intl.NumberFormat(facts.language, { maximumFractionDigits: digits }).format(value);
}

function showSize(bytes) {
  for (const [key, unit] of [["size-gb", 1e9], ["size-mb", 1e6], ["size-kb", 1e3]]) {
    if (bytes >= unit) return say(key, { value: number(bytes / unit) });
  }
  return say("size-bytes", { value: number(bytes, 0) });
}

function showPercent(share) {
  return say("percent", { value: Math.floor(share * 100) });
}

function showTime(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (h) return say("duration-h-m", { h, m });
  if (m >= 5 || (m && !s)) return say("duration-m", { m });
  return m ? say("duration-m-s", { m, s }) : say("duration-s", { s });
}

function shorten(name) {
  return name.length > 60 ? `${name.slice(0, 40)}…${name.slice(-15)}` : name;
}

// --- what is shown ---------------------------------------------------------------------------

function show(...ids) {
  for (const id of ["choosing", "confirming", "sending", "done", "retry", "another"]) {
    $(id).hidden = !ids.includes(id);
  }
}

function tell(text, { bad = false } = {}) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
  $("notice").classList.toggle("bad", bad);
}

function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    if (sender) drawProgress();
  });
}

function drawProgress() {
  const total = sender.file.size;
  const share = total ? sender.sent / total : 0;
  $("name").textContent = shorten(sender.file.name);
  $("fill").style.width = `${share * 100}%`;
  $("bar").setAttribute("aria-valuenow", String(Math.floor(share * 100)));
  $("amount").textContent = say("web-progress", {
    done: showSize(sender.sent), total: showSize(total), percent: showPercent(share),
  });
  const { pace } = sender;
  const left = pace && showTime((total - sender.sent) / pace);
  $("pace").textContent = pace ? say("web-speed", { speed: showSize(pace), left }) : "";
  $("pause").hidden = sender.paused;
  $("continue").hidden = !sender.paused;
  if (sender.paused) tell(say("web-paused"));
  else if (sender.waiting) tell(say("web-waiting"));
  else tell("");
}

// --- choosing --------------------------------------------------------------------------------

function findFault(file) {
  const suffix = /\.[^.]+$/.exec(file.name)?.[0].toLowerCase() ?? "";
  const name = shorten(file.name);
  if (!facts.suffixes.includes(suffix) && !file.type.startsWith("video/")) {
    return say("web-not-video", { name });
  }
  if (!file.size) return say("web-empty", { name });
  if (file.size > facts.limit) {
    return say("web-too-large", { name, limit: showSize(facts.limit) });
  }
  return "";
}

/** `choice`: what was answered to a question of ask(). */
async function take(file, choice = {}) {
  const fault = findFault(file);
  if (fault) {
    tell(fault, { bad: true });
    return;
  }
  tell("");
  show(); // nothing can be chosen meanwhile
  let state;
  try {
    const { name, size, type, lastModified: modified } = file;
    const who = initData ? { init_data: initData } : {};
    state = await server.open({ name, bytes: size, modified, type, ...choice, ...who });
  } catch (error) {
    if (error.code === "other_file") ask(error.data, file);
    else fail(error, () => take(file, choice));
    return;
  }
  if (state.state === "receiving") await send(file, state);
  else await follow(state);
}

/** Another file is half way on this page: which one is meant? */
function ask(data, file) {
  const half = { name: shorten(data.name), percent: showPercent(data.done / data.size) };
  // a phone may not know when a file was changed, and tells the time of now
  $("question").textContent = data.same
    ? say("web-changed", half)
    : say("web-other", { ...half, other: shorten(file.name) });
  $("keep").textContent = say(data.same ? "web-same" : "web-keep");
  $("replace").textContent = say(data.same ? "web-anew" : "web-replace");
  show("confirming");
  $("replace").onclick = () => take(file, { replace: true });
  $("keep").onclick = () => (data.same ? take(file, { resume: true }) : begin());
}

// --- sending ---------------------------------------------------------------------------------

async function send(file, state) {
  show("sending");
  sender = new Sender(file, state, server, draw);
  draw();
  await hold(true);
  try {
    await sender.run();
  } catch (error) {
    sender = null;
    await hold(false);
    fail(error, () => take(file));
    return;
  }
  drawProgress();
  sender = null;
  await finish();
}

async function finish() {
  show(...($("sending").hidden ? [] : ["sending"]));
  $("pause").hidden = true;
  $("pace").textContent = "";
  tell(say("web-looking"));
  let state;
  try {
    state = await server.complete();
  } catch (error) {
    await hold(false);
    fail(error, finish);
    return;
  }
  await follow(state);
}

/** Until the file was looked at. */
async function follow(state) {
  while (state.state === "looking") {
    tell(say("web-looking"));
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    try {
      state = await server.state();
    } catch (error) {
      if (error instanceof Refusal && error.status < 500 && error.status !== 429) {
        await hold(false);
        fail(error, begin);
        return;
      }
    }
  }
  await hold(false);
  greetState(state);
}

/** Ask before the page is closed, and keep a phone awake, while something is on its way. */
async function hold(isNeeded) {
  holdOpen(isNeeded);
  window.onbeforeunload = isNeeded ? (event) => event.preventDefault() : null;
  if (!isNeeded) {
    await lock?.release().catch(() => {});
    lock = null;
  } else if (navigator.wakeLock && document.visibilityState === "visible") {
    lock = await navigator.wakeLock.request("screen").catch(() => null);
  }
}

/** Say what went wrong, and offer what helps. */
function fail(error, again) {
  if (error instanceof Unreadable) {
    show("choosing");
    tell(say("web-unreadable"), { bad: true });
    return;
  }
  const isFinal = error instanceof Refusal && ["upload_gone", "upload_not_yours"].includes(error.code);
  const isFile = error instanceof Refusal && error.status === 400;
  if (isFinal) show();
  else if (isFile) show("choosing");
  else show("retry", "another");
  $("retry").onclick = () => {
    tell("");
    show();
    again();
  };
  const text = error.code === "upload_gone" ? say("web-gone") : error.text;
  tell(text || say("web-failed"), { bad: true });
}

// --- the beginning ---------------------------------------------------------------------------

function greetState(state) {
  if (state.state === "taken") {
    show("done");
    tell("");
    return;
  }
  show("choosing");
  const total = state.bytes;
  if (state.error) tell(state.error.text, { bad: true });
  else if (state.state === "receiving" && state.parts.length) {
    const sent = Math.min(total, state.parts.length * state.part_bytes);
    tell(say("web-resume", { name: shorten(state.name), percent: showPercent(sent / total) }));
  } else tell("");
}

async function begin() {
  let state;
  try {
    state = await server.state();
  } catch (error) {
    fail(error, begin);
    return;
  }
  const count = state.part_bytes ? Math.ceil(state.bytes / state.part_bytes) : 0;
  const isWhole = state.state === "receiving" && count > 0 && state.parts.length === count;
  if (isWhole) await finish();
  else if (state.state === "looking") await follow(state);
  else greetState(state);
}

$("file").addEventListener("change", () => {
  const [file] = $("file").files;
  $("file").value = ""; // the same one may be chosen again
  if (file) take(file);
});
$("pause").addEventListener("click", () => sender?.pause());
$("continue").addEventListener("click", () => sender?.resume());
$("another").addEventListener("click", () => begin());
document.addEventListener("visibilitychange", () => {
  if (sender && document.visibilityState === "visible") {
    hold(true);
    if (!sender.paused) sender.nudge();
  }
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    const [file] = event.dataTransfer?.files ?? [];
    if (kind === "drop" && file && !$("choosing").hidden) take(file);
  });
}
setInterval(() => sender && draw(), 1000);
greet();
begin();
