// Long polling of the transcript: one request waits at the server, the next begins when it ends.

import { ask } from "./server.js";

const WAIT_S = 25;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 10000;

/** Follows the world until the bot has ended; `onLine(true | false)` tells of the connection. */
export async function follow(model, onLine) {
  let pause = FIRST_PAUSE_MS;
  while (!model.ending) {
    try {
      const query = { since: model.revision, timeout_s: WAIT_S };
      const found = await ask("transcript", query, { cache: "no-store" });
      onLine(true);
      pause = FIRST_PAUSE_MS;
      if (found.revision < model.revision) {
        // another sandbox has taken the place of the one that was here
        await model.load();
        await model.open(model.chat?.id);
      }
      for (const entry of found.entries) model.apply(entry);
      if (found.ending) model.end(found.ending);
    } catch (error) {
      if (!(error instanceof TypeError) && !(error instanceof SyntaxError)) throw error;
      onLine(false);
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
    }
  }
}
