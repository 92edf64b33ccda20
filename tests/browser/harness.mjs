// What every case needs: the browser, a page that is watched for faults, axe-core, and the list of cases. Owns the rules
// that hold for all pages: no CSP violation, no error in the console, no other origin, no token in a URL.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { NOW } from "./fake.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** How long anything may take to appear. */
const PATIENCE_MS = 10_000;

export const cases = [];
export const test = (name, run, options = {}) => cases.push({ name, run, ...options });

export function check(holds, message) {
  if (!holds) throw new Error(message);
}

export function equal(seen, expected, what) {
  const [a, b] = [JSON.stringify(seen), JSON.stringify(expected)];
  if (a !== b) throw new Error(`${what}: expected ${b}, got ${a}`);
}

export async function until(read, what) {
  const deadline = Date.now() + PATIENCE_MS;
  let seen;
  for (;;) {
    seen = await read();
    if (seen) return seen;
    check(Date.now() < deadline, `did not happen: ${what}`);
    await new Promise((done) => setTimeout(done, 25));
  }
}

let profile;
let browser;
/** Debian's Chromium with a fresh profile. */
export async function openBrowser() {
  profile = mkdtempSync(join(tmpdir(), "tollgate-browser-"));
  mkdirSync(join(profile, "run"));
  const args = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, chromiumSandbox: false, args, env: { ...process.env, XDG_RUNTIME_DIR: join(profile, "run") } });
  return browser;
}
export async function closeBrowser() {
  await browser.close();
  rmSync(profile, { recursive: true, force: true });
}

/** A page in its own context, which may ask `origin` (one or several). `faults` fills up with what no page may do. */
export async function openPage(browser, { origin, secrets = [], clock = true, ...options } = {}) {
  const context = await browser.newContext({ locale: "en-GB", timezoneId: "Europe/Berlin", colorScheme: "light", viewport: { width: 1000, height: 800 }, ...options });
  if (clock) await context.clock.install({ time: NOW });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  const faults = [];
  page.on("pageerror", (error) => faults.push(`page error: ${error.stack}`));
  page.on("dialog", (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on("console", (message) => {
    // What the network answers is the case's business; all else in the console is a fault of the page.
    if (["error", "warning"].includes(message.type()) && !/^Failed to load resource/.test(message.text())) faults.push(`console: ${message.text()}`);
    for (const secret of secrets) if (message.text().includes(secret)) faults.push("a token in the console");
  });
  page.on("request", (request) => {
    const url = request.url();
    if (!url.startsWith("data:") && !url.startsWith("blob:") && ![origin].flat().includes(new URL(url).origin)) faults.push(`request to another origin: ${url}`);
    for (const secret of secrets) if (decodeURIComponent(url).includes(secret)) faults.push(`a token in a URL: ${url}`);
  });
  return { context, page, faults };
}

/** axe-core over the whole page, all its rules. */
export async function axe(page, what) {
  // Colours in the middle of a transition are nobody's colours.
  await page.evaluate(() => {
    const roots = [document, ...[...document.querySelectorAll("usage-dashboard")].map((element) => element.shadowRoot)];
    for (const one of roots.flatMap((root) => root.getAnimations())) if (one.effect.getComputedTiming().endTime !== Infinity) one.finish();
  });
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const text = violations.map((one) => `${one.id}: ${one.nodes.map((node) => `${node.target.flat().join(" ")} (${node.failureSummary})`).join("; ")}`);
  check(violations.length === 0, `axe on ${what}: ${text.join(" | ")}`);
}

/** The same in the dark theme and in the light one, as the reader's system asks for it; the page stays light. */
export async function axeInBothThemes(page, what) {
  const seen = [];
  for (const colorScheme of ["dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    seen.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
    await axe(page, `${what}, ${colorScheme}`);
  }
  check(seen[0] !== seen[1], `${what}: the themes differ`);
}

/** Nothing sticks out to the right at this width. */
export async function noSidewaysScroll(page, what) {
  const [scroll, client] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  check(scroll <= client, `${what}: ${scroll} px wide in a window of ${client} px`);
}
