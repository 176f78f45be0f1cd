// Times that the page keeps up to date by itself, in the reader's words.

const STEPS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

let language = "en-GB";
let offsetMs = 0;

export function setClock(newLanguage, newOffsetMs) {
  // the short form of hours and days that most of its readers know
  language = newLanguage === "en" ? "en-GB" : newLanguage;
  offsetMs = newOffsetMs;
  refresh();
}

/** `in 12 minutes`, `5 hours ago`. */
export function tellDistance(unix, nowMs = Date.now() + offsetMs) {
  const seconds = Math.round(unix - nowMs / 1000);
  const [unit, size] = STEPS.find(([, each]) => Math.abs(seconds) >= each) ?? ["second", 1];
  // "now" rather than "0 seconds ago"
  const words = new Intl.RelativeTimeFormat(language, {
    numeric: seconds === 0 ? "auto" : "always",
  });
  return words.format(Math.trunc(seconds / size), unit);
}

/** Formats of the `date_time` entity: `r`, or `w`, `d` or `D`, `t` or `T` in this order. */
export function tellMoment(unix, format) {
  if (format === "r") return tellDistance(unix);
  const options = {};
  if (format.includes("w")) options.weekday = "long";
  if (format.includes("d"))
    Object.assign(options, { day: "2-digit", month: "2-digit", year: "2-digit" });
  if (format.includes("D"))
    Object.assign(options, { day: "numeric", month: "long", year: "numeric" });
  if (/t/i.test(format)) Object.assign(options, { hour: "2-digit", minute: "2-digit" });
  if (format.includes("T")) options.second = "2-digit";
  return new Intl.DateTimeFormat(language, options).format(new Date(unix * 1000));
}

export function tellTime(unix) {
  const options = { hour: "2-digit", minute: "2-digit" };
  return new Intl.DateTimeFormat(language, options).format(new Date(unix * 1000));
}

export function tellDay(unix) {
  const options = { day: "numeric", month: "long" };
  return new Intl.DateTimeFormat(language, options).format(new Date(unix * 1000));
}

export function tellFully(unix) {
  const options = { dateStyle: "long", timeStyle: "medium" };
  return new Intl.DateTimeFormat(language, options).format(new Date(unix * 1000));
}

function refresh() {
  for (const node of document.querySelectorAll("time[data-format='r']")) {
    const words = tellDistance(Number(node.dataset.unix));
    if (node.textContent !== words) node.textContent = words;
  }
}

setInterval(refresh, 1000);
