// Inside Telegram the page is told who opened it and in which colours, in the address behind "#".
// Source: core.telegram.org/bots/webapps and core.telegram.org/api/web-events.

const given = new URLSearchParams(location.hash.slice(1));

/** What Telegram says of who opened the page, signed; null in a plain browser. */
export const initData = given.get("tgWebAppData") || null;

const COLOURS = {
  "--back": ["secondary_bg_color", "bg_color"],
  "--card": ["section_bg_color", "bg_color"],
  "--text": ["text_color"],
  "--quiet": ["hint_color", "subtitle_text_color"],
  "--main": ["button_color"],
  "--on-main": ["button_text_color"],
  "--bad": ["destructive_text_color"],
};

/** Take over colours and tell Telegram that the page is there. */
export function greet() {
  if (!given.has("tgWebAppVersion") && !initData) return;
  paint(given.get("tgWebAppThemeParams"));
  tell("web_app_ready");
  tell("web_app_expand");
}

/** Whether closing the page is asked about first. */
export function holdOpen(isNeeded) {
  tell("web_app_setup_closing_behavior", { need_confirmation: isNeeded });
}

function paint(params) {
  let theme = {};
  try {
    theme = JSON.parse(params || "{}") || {};
  } catch {
    return;
  }
  for (const [name, keys] of Object.entries(COLOURS)) {
    const colour = keys.map((key) => theme[key]).find((each) => /^#[0-9a-f]{6}$/i.test(each));
    if (colour) document.documentElement.style.setProperty(name, colour);
  }
  if (/^#[0-9a-f]{6}$/i.test(theme.bg_color)) {
    document.documentElement.style.colorScheme = isDark(theme.bg_color) ? "dark" : "light";
  }
}

function isDark(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return red * 0.3 + green * 0.59 + blue * 0.11 < 128;
}

function tell(eventType, eventData = {}) {
  const data = JSON.stringify(eventData);
  if (window.TelegramWebviewProxy) {
    window.TelegramWebviewProxy.postEvent(eventType, data);
  } else if (window.external && "notify" in window.external) {
    window.external.notify(JSON.stringify({ eventType, eventData }));
  } else if (window.parent !== window) {
    window.parent.postMessage(JSON.stringify({ eventType, eventData }), "*");
  }
}
