// Runs the cases: each in its own browser context, one after the other. With TOLLGATE_URL and TOLLGATE_SECRET those against
// a real gateway as well. Prints "ok NAME" or "FAIL NAME: why"; `--only TEXT` runs the cases whose name contains TEXT.

import { Fake } from "./fake.mjs";
import { cases, closeBrowser, openBrowser, openPage } from "./harness.mjs";
import { secrets as componentSecrets } from "./component.mjs";
import { secrets as pageSecrets } from "./pages.mjs";
import "./react.mjs";
import "./shots.mjs";
if (process.env.TOLLGATE_URL) await import("./gateway.mjs");
if (process.env.TOLLGATE_URL && process.env.CHAT_PORT) await import("./embed.mjs");

const only = process.argv[2] === "--only" ? process.argv[3] : "";
/** A case that hangs is a failure, not a hung run. */
const CASE_MS = 120_000;

async function run({ name, run: body, origin, options }, browser, fake) {
  fake.reset();
  const opened = await openPage(browser, { origin: origin ?? fake.origin, secrets: [...componentSecrets, ...pageSecrets], ...options });
  let timer;
  try {
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not done after ${CASE_MS / 1000} s`)), CASE_MS);
    });
    await Promise.race([body({ ...opened, browser, fake }), late]);
    if (opened.faults.length > 0) throw new Error(opened.faults.join(" | "));
    console.log(`ok ${name}`);
    return true;
  } catch (error) {
    const where = error.stack?.split("\n").find((line) => /(component|pages|react|shots|gateway|embed)\.mjs/.test(line))?.trim() ?? "";
    console.log(`FAIL ${name}: ${error.message.replaceAll("\n", " ")} ${where}${opened.faults.length > 0 ? ` | faults: ${opened.faults.join(" | ")}` : ""}`);
    return false;
  } finally {
    clearTimeout(timer);
    await opened.context.close();
  }
}

const fake = new Fake();
await fake.start();
const browser = await openBrowser();
let failed = 0;
try {
  for (const one of cases) if (one.name.includes(only)) failed += (await run(one, browser, fake)) ? 0 : 1;
} finally {
  await closeBrowser();
  fake.stop();
}
process.exitCode = failed === 0 ? 0 : 1;
