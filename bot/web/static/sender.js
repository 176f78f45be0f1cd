// Sends a file in parts, several side by side, and never one twice that is stored already.

const SIDE_BY_SIDE = 3;
const URLS_AT_ONCE = 12;
const URL_LASTS_MS = 50 * 60 * 1000;
const STALLED_MS = 60 * 1000;
const LONGEST_WAIT_MS = 30 * 1000;
const PACE_MS = 8000;

/** An answer that says no. `code` is the server's word for it. */
export class Refusal extends Error {
  constructor(status, error) {
    super(error.code || `HTTP ${status}`);
    this.status = status;
    this.code = error.code || "";
    this.text = error.text || "";
    this.data = error;
  }
}

/** The file can no longer be read: it was moved, or changed. */
export class Unreadable extends Error {}

class Lost extends Error {}
class Paused extends Error {}

/** The server's side of the page. Throws Refusal, or TypeError where nobody answers. */
export class Server {
  constructor(base) {
    this.base = base;
  }

  state() {
    return this.ask("GET", "state");
  }

  open(body) {
    return this.ask("POST", "open", body);
  }

  parts(numbers, file) {
    return this.ask("POST", "parts", { numbers, file });
  }

  complete() {
    return this.ask("POST", "complete", {});
  }

  async ask(method, what, body) {
    const answer = await fetch(`${this.base}/${what}`, {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body ? JSON.stringify(body) : undefined,
      cache: "no-store",
    });
    const told = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refusal(answer.status, told.error || {});
    return told;
  }
}

/** One file on its way. `onChange` is called when there is something new to show. */
export class Sender {
  constructor(file, state, server, onChange) {
    this.file = file;
    this.server = server;
    this.onChange = onChange;
    // the server's name for it: another window may have begun another one
    this.id = state.file;
    this.partBytes = state.part_bytes;
    this.count = Math.ceil(file.size / state.part_bytes);
    this.paused = false;
    this.waiting = false;
    this.todo = [];
    this.stored = new Set();
    this.busy = new Map();
    this.urls = new Map();
    this.signing = null;
    this.recovering = null;
    this.failures = 0;
    // parts go to the bucket itself unless it refuses this page (CORS)
    this.relay = false;
    this.directWorks = false;
    this.samples = [];
    this.sleepers = new Set();
    this.note(state.parts);
  }

  get sent() {
    let bytes = 0;
    for (const number of this.stored) bytes += this.size(number);
    for (const part of this.busy.values()) bytes += part.loaded;
    return Math.min(bytes, this.file.size);
  }

  /** Bytes a second over the last seconds; 0 while it is not known. */
  get pace() {
    const now = performance.now();
    this.samples = this.samples.filter((each) => now - each.at < PACE_MS);
    if (!this.samples.length) return 0;
    const { at, sent } = this.samples[0];
    return now - at < 1000 ? 0 : Math.max(0, ((this.sent - sent) * 1000) / (now - at));
  }

  /** Until every part is stored. */
  async run() {
    window.addEventListener("online", this.nudge);
    try {
      while (this.todo.length) {
        const workers = Array.from({ length: SIDE_BY_SIDE }, () => this.work());
        const ends = await Promise.allSettled(workers);
        const bad = ends.find((each) => each.status === "rejected");
        if (bad) throw bad.reason;
      }
    } finally {
      window.removeEventListener("online", this.nudge);
    }
  }

  pause() {
    this.paused = true;
    this.samples = [];
    for (const part of this.busy.values()) part.request.abort();
    this.onChange();
  }

  resume() {
    this.paused = false;
    this.nudge();
    this.onChange();
  }

  /** Nobody waits any longer. */
  nudge = () => {
    for (const wake of this.sleepers) wake();
  };

  size(number) {
    return Math.min(this.partBytes, this.file.size - (number - 1) * this.partBytes);
  }

  /** What is stored, by the server's word. */
  note(parts) {
    this.stored = new Set(parts);
    this.todo = [];
    for (let number = 1; number <= this.count; number += 1) {
      if (!this.stored.has(number) && !this.busy.has(number)) this.todo.push(number);
    }
  }

  async work() {
    while (this.todo.length) {
      if (this.paused) {
        await this.rest(LONGEST_WAIT_MS);
        continue;
      }
      if (this.recovering) {
        await this.recovering;
        continue;
      }
      const number = this.todo.shift();
      try {
        await this.send(number);
        this.failures = 0;
      } catch (error) {
        if (!this.stored.has(number) && !this.todo.includes(number)) this.todo.unshift(number);
        if (error instanceof Paused) continue;
        if (!(error instanceof Lost)) throw error;
        this.recovering ||= this.recover().finally(() => (this.recovering = null));
        await this.recovering;
      }
    }
  }

  /** Wait, longer each time, and ask what has arrived; until somebody answers. */
  async recover() {
    for (;;) {
      this.failures += 1;
      this.waiting = this.failures > 1;
      this.samples = [];
      this.onChange();
      const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** Math.min(this.failures, 6));
      await this.rest(wait * (0.75 + Math.random() / 2));
      try {
        const state = await this.server.state();
        if (state.state !== "receiving") throw new Refusal(409, { code: "upload_incomplete" });
        if (state.file !== this.id) throw new Refusal(409, { code: "other_file" });
        this.note(state.parts);
        this.urls.clear();
        this.waiting = false;
        this.onChange();
        return;
      } catch (error) {
        if (error instanceof Refusal && error.status !== 429 && error.status < 500) throw error;
      }
    }
  }

  rest(milliseconds) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.sleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, milliseconds);
      this.sleepers.add(wake);
    });
  }

  async send(number) {
    const url = this.relay ? null : await this.sign(number);
    const part = { loaded: 0, request: new XMLHttpRequest() };
    if (this.paused) throw new Paused();
    this.busy.set(number, part);
    let status;
    try {
      status = await this.put(url || `${this.server.base}/parts/${number}?file=${this.id}`, number, part);
    } catch (error) {
      if (url && error instanceof Lost) await this.doubt(part);
      throw error;
    } finally {
      this.busy.delete(number);
      this.onChange();
    }
    if (status >= 200 && status < 300) {
      this.directWorks ||= Boolean(url);
      this.stored.add(number);
      return;
    }
    this.urls.delete(number);
    if (status === 410) throw new Refusal(status, { code: "upload_gone" });
    throw new Lost();
  }

  /** A bucket that never took a byte of ours while the server answers refuses this page. */
  async doubt(part) {
    if (this.directWorks || part.loaded || this.paused) return;
    const answers = await this.server.state().then(() => true, () => false);
    this.relay = this.relay || (answers && !this.directWorks);
  }

  /** Where a part goes; null for the server itself. */
  async sign(number) {
    for (;;) {
      const known = this.urls.get(number);
      if (known && performance.now() - known.at < URL_LASTS_MS) return known.url;
      this.signing ||= this.signNext(number).finally(() => (this.signing = null));
      await this.signing;
    }
  }

  async signNext(number) {
    const numbers = [number, ...this.todo.filter((each) => each !== number)];
    let answer;
    try {
      answer = await this.server.parts(numbers.slice(0, URLS_AT_ONCE), this.id);
    } catch (error) {
      if (error instanceof Refusal && error.status === 410) throw error;
      throw new Lost();
    }
    for (const [each, url] of Object.entries(answer.urls)) {
      this.urls.set(Number(each), { url, at: performance.now() });
    }
  }

  /** HTTP status of a PUT; Lost where there was none. */
  async put(url, number, part) {
    const start = (number - 1) * this.partBytes;
    const slice = this.file.slice(start, start + this.size(number));
    const { request } = part;
    let stalled;
    const watch = () => {
      clearTimeout(stalled);
      stalled = setTimeout(() => request.abort(), STALLED_MS);
    };
    try {
      return await new Promise((resolve, reject) => {
        const lost = () => reject(this.paused ? new Paused() : new Lost());
        request.open("PUT", url);
        request.upload.onprogress = (event) => {
          part.loaded = event.loaded;
          this.sample();
          watch();
        };
        request.onload = () => resolve(request.status);
        request.onerror = lost;
        request.onabort = lost;
        watch();
        // it has no type, so that the bucket sees no header but those that are signed
        request.send(slice);
      });
    } catch (error) {
      if (error instanceof Lost) await this.requireReadable(slice);
      throw error;
    } finally {
      clearTimeout(stalled);
    }
  }

  async requireReadable(slice) {
    try {
      await slice.slice(0, 1).arrayBuffer();
    } catch {
      throw new Unreadable();
    }
  }

  sample() {
    const now = performance.now();
    const last = this.samples.at(-1);
    if (!last || now - last.at > 250) this.samples.push({ at: now, sent: this.sent });
    this.onChange();
  }
}
