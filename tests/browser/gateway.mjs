// The same pages from a real gateway (TOLLGATE_URL, TOLLGATE_SECRET) with real messages. The gateway must have the shipped
// plans (free: 100 messages, 20 premium a month) and an upstream that answers gpt-4o-mini in the OpenAI dialect.

import { createHmac, randomUUID } from "node:crypto";
import { axe, axeInBothThemes, check, equal, noSidewaysScroll, test, until } from "./harness.mjs";

export const GATEWAY = new URL(process.env.TOLLGATE_URL).origin;
/** Another gateway on the same stores. */
const OTHER = new URL(process.env.TOLLGATE_URL_2 ?? process.env.TOLLGATE_URL).origin;
const SECRET = process.env.TOLLGATE_SECRET;
const MODEL = process.env.TOLLGATE_MODEL ?? "gpt-4o-mini";
/** The gateway has a clock of its own. */
const real = { origin: GATEWAY, options: { clock: false } };

/** A JWT signed with HS256 (RFC 7515). */
function token(user, claims = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, plan: "free", exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

export function newUser(name = "browser") {
  const id = `${name}-${randomUUID()}`;
  return { id, token: token(id) };
}

export async function send(key, count = 1, gateway = GATEWAY) {
  for (let sent = 0; sent < count; sent += 1) {
    const answer = await fetch(`${gateway}/v1/chat/completions`, {
      method: "POST", headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "Hello" }] }),
    });
    const text = await answer.text();
    check(answer.ok, `a message answered ${answer.status}: ${text}`);
  }
}
const shown = async (page) => page.locator("usage-dashboard .value").first().textContent();

test("gateway: a message moves the bar without a reload; 74, 76 and 91 % have their words", async ({ page }) => {
  const key = token(`browser-${randomUUID()}`);
  await page.goto(`${GATEWAY}/dashboard#token=${key}`);
  await until(async () => (await page.locator("usage-dashboard .value").count()) > 0 && (await shown(page)) === "0 of 100", "0 of 100");
  await until(async () => (await page.locator("usage-dashboard .live").textContent()) === "Live", "live");
  await page.evaluate(() => { window.same = true; });
  let sent = 0;
  for (const [used, word] of [[74, "Within the limit"], [76, "Running low"], [91, "Almost used up"], [100, "Used up"]]) {
    await send(key, used - sent);
    sent = used;
    await until(async () => (await shown(page)) === `${used} of 100`, `${used} of 100`);
    equal(await page.locator("usage-dashboard .word").first().textContent(), word, `word at ${used} %`);
    await axe(page, `gateway at ${used} %`);
  }
  check((await page.locator("usage-dashboard .status").textContent()).includes("You cannot send messages at the moment."), "spent");
  check(await page.evaluate(() => window.same), "no reload");
  await page.setViewportSize({ width: 320, height: 700 });
  await noSidewaysScroll(page, "gateway at 320 px");
}, real);

test("gateway: a message through one gateway moves the bar in a window on the other, without a reload", async ({ page }) => {
  const user = newUser();
  await page.goto(`${OTHER}/dashboard#token=${user.token}`);
  await until(async () => (await page.locator("usage-dashboard .value").count()) > 0 && (await shown(page)) === "0 of 100", "0 of 100");
  await until(async () => (await page.locator("usage-dashboard .live").textContent()) === "Live", "live");
  const took = [];
  for (let used = 1; used <= 5; used += 1) {
    // The page itself says when the figure has changed: no look from outside is in the time.
    const moved = page.evaluate((text) => new Promise((done) => {
      const root = document.querySelector("usage-dashboard").shadowRoot;
      const look = () => root.querySelector(".value")?.textContent === text && (watch.disconnect(), done(Date.now()));
      const watch = new MutationObserver(look);
      watch.observe(root, { childList: true, characterData: true, subtree: true });
      look();
    }), `${used} of 100`);
    await send(user.token);
    const answered = Date.now();
    took.push((await moved) - answered);
  }
  check(await page.evaluate(() => performance.getEntriesByType("navigation").length === 1), "no reload");
  console.log(`# from the answer's end at one gateway to the bar at the other: ${took.join(", ")} ms`);
}, { ...real, origin: OTHER });

test("gateway: a hostile user id is text", async ({ page }) => {
  const evil = `<img src=x onerror=alert(1)> ${randomUUID()}`;
  await page.goto(`${GATEWAY}/dashboard#token=${token(evil)}`);
  await until(async () => (await page.locator("usage-dashboard [part=user]").textContent()) === `User: ${evil}`, "user id as text");
  equal(await page.locator("img").count(), 0, "images");
}, real);

test("gateway: the pages carry a strict CSP; a refused token is said", async ({ page }) => {
  for (const path of ["/dashboard", "/admin"]) {
    const answer = await page.goto(`${GATEWAY}${path}`);
    const csp = answer.headers()["content-security-policy"] ?? "";
    check(csp.includes("default-src 'none'") && !csp.includes("unsafe-inline"), `CSP of ${path}: ${csp}`);
    await page.getByLabel("Token").fill("wrong");
    await page.keyboard.press("Enter");
    await page.getByText("This token is not valid or has expired.").waitFor();
    await axe(page, `gateway ${path}, refused`);
  }
}, real);

test("gateway: an administrator sees the user, resets with a reason, and finds it in the log", async ({ page }) => {
  const user = `browser-${randomUUID()}`;
  await send(token(user), 3);
  const admin = token(`root-${randomUUID()}`, { role: "admin" });
  await page.goto(`${GATEWAY}/admin#token=${admin}`);
  await page.locator("nav").waitFor();
  await page.getByRole("link", { name: "Users" }).click();
  // the list shows it as soon as the ledger has the row
  await until(async () => {
    await page.getByLabel("User id").fill(user.slice(0, -1));
    await page.getByLabel("User id").fill(user);
    return page.getByRole("link", { name: user, exact: true }).waitFor({ timeout: 1_000 }).then(() => true, () => false);
  }, "the user is found");
  await axeInBothThemes(page, "gateway /admin#user, list");
  await page.getByRole("link", { name: user, exact: true }).click();
  await until(async () => (await page.locator("usage-dashboard .value").count()) > 0 && (await shown(page)) === "3 of 100", "3 of 100");
  await page.getByRole("button", { name: "Reset usage…" }).click();
  await page.getByLabel("Reason", { exact: true }).fill("Browser test");
  await page.getByRole("dialog").getByRole("button", { name: "Reset usage" }).click();
  await page.getByText("Usage was reset.").waitFor();
  await until(async () => (await page.locator("usage-dashboard .value").count()) > 0 && (await shown(page)) === "0 of 100", "0 of 100");
  await page.getByRole("cell", { name: "Browser test" }).first().waitFor();
  await axeInBothThemes(page, "gateway /admin#user");
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByRole("heading", { name: "Messages per day" }).waitFor();
  await axeInBothThemes(page, "gateway /admin");
  const ms = (value) => (value === null ? "–" : `${value.toLocaleString("en-GB")} ms`);
  const texts = {
    "Errors per day": (day) => [day.errors.toLocaleString("en-GB")],
    "Latency per day": (day) => [ms(day.p50Ms), ms(day.p95Ms)],
    "Time to first byte per day": (day) => [ms(day.firstByteP50Ms), ms(day.firstByteP95Ms)],
  };
  // Rows of other cases may still be on their way to the ledger.
  await until(async () => {
    await page.getByRole("button", { name: "Refresh" }).click();
    await page.getByText("Figures are up to date.").waitFor();
    const { days } = await (await fetch(`${GATEWAY}/api/analytics?days=7`, { headers: { authorization: `Bearer ${admin}` } })).json();
    check(days.at(-1).p50Ms !== null, "whole answers have a latency");
    const seen = await page.evaluate((titles) => titles.map((title) => {
      const card = [...document.querySelectorAll("section.card")].find((one) => one.querySelector("h2").textContent === title);
      return [...card.querySelectorAll("tbody tr")].map((row) => [...row.cells].map((cell) => cell.textContent));
    }), Object.keys(texts));
    const told = Object.values(texts).map((of) => days.map((day) => [day.date, ...of(day)]));
    return JSON.stringify(seen) === JSON.stringify(told);
  }, "errors and latency are the API's own figures");
}, real);
