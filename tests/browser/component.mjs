// <usage-dashboard> on a host page: bars and words, what is spent, live figures, states, themes, keyboard, hostile text.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { eventId, limit, usage } from "./fake.mjs";
import { axe, check, equal, noSidewaysScroll, openPage, test, until } from "./harness.mjs";

const TOKEN = "secret-token-of-user-123";
export const secrets = [TOKEN];
const at = (used, premium = 2) => usage([limit("messages", 100, used), limit("premium", 20, premium)]);

/** Puts the element on the host page and waits until it shows `state`. */
async function mount(page, fake, { state = "ready", token = TOKEN, ...attributes } = {}) {
  await page.goto(`${fake.origin}/host`);
  await page.evaluate(([token, attributes]) => {
    const element = document.createElement("usage-dashboard");
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    if (token !== null) element.token = token;
    document.querySelector("main").append(element);
  }, [token, attributes]);
  await inState(page, state);
}
const inState = (page, state) => page.locator(`usage-dashboard .root[data-state="${state}"]`).waitFor();
const words = (page, selector) => page.locator(`usage-dashboard ${selector}`).allTextContents();
const card = (page, index) => page.locator("usage-dashboard .limit").nth(index);
const colour = (page, index) => card(page, index).locator(".fill").evaluate((fill) => {
  for (const one of fill.getAnimations()) one.finish();
  return getComputedStyle(fill).backgroundColor;
});

test("bars turn at 75 % and 90 %, in colour and in words", async ({ page, fake }) => {
  const seen = new Map();
  fake.user(TOKEN, at(74));
  await mount(page, fake);
  for (const [used, word] of [[74, "Within the limit"], [75, "Running low"], [76, "Running low"], [89, "Running low"], [90, "Almost used up"], [91, "Almost used up"], [100, "Used up"]]) {
    fake.change(TOKEN, at(used));
    await until(async () => (await card(page, 0).locator(".value").textContent()) === `${used} of 100`, `${used} of 100 shown`);
    equal(await card(page, 0).locator(".word").textContent(), word, `word at ${used} %`);
    const bar = card(page, 0).locator("[role=progressbar]");
    equal(await bar.getAttribute("aria-valuenow"), String(used), "aria-valuenow");
    equal(await bar.getAttribute("aria-valuetext"), `${used} of 100 used. ${word}.`, "aria-valuetext");
    const shown = await colour(page, 0);
    check(!seen.has(word) || seen.get(word) === shown, `one colour for ${word}`);
    seen.set(word, shown);
    const share = await bar.evaluate((element) => element.querySelector(".fill").getBoundingClientRect().width / element.getBoundingClientRect().width);
    check(Math.abs(share - used / 100) < 0.01, `bar is ${share} wide at ${used} %`);
  }
  equal([...seen.values()].slice(0, 3).filter((one, index, all) => all.indexOf(one) === index).length, 3, "colours that differ");
});

test("99.6 % is not shown as all of it", async ({ page, fake }) => {
  fake.user(TOKEN, usage([limit("messages", 1000, 996)]));
  await mount(page, fake);
  check((await words(page, ".limit"))[0].includes("99% used"), "rounded down");
});

test("premium spent: the sentence says what, until when, and what still answers", async ({ page, fake }) => {
  fake.user(TOKEN, at(45, 20));
  await mount(page, fake);
  const [text] = await words(page, ".status");
  for (const part of ["You can send messages, but not to premium models.", "Premium messages used up: 20 of 20.", "1 December 2026", "01:00", "in 13 days", "Other models still answer."]) check(text.includes(part), `"${part}" in "${text}"`);
  equal(await page.locator("usage-dashboard .status time").getAttribute("datetime"), "2026-12-01T00:00:00.000Z", "time");
  check((await words(page, "[part=premium]"))[0].includes("Not available now"), "premium models are marked");
});

test("all spent, requests at once, not included", async ({ page, fake }) => {
  fake.user(TOKEN, usage([limit("messages", 100, 100), limit("premium", 0, 0), limit("parallel", 4, 0, { meter: "in_flight", per: null, resetsAt: null, held: 4 })]));
  await mount(page, fake);
  const [text] = await words(page, ".status");
  for (const part of ["You cannot send messages", "Messages used up: 100 of 100.", "Premium messages: not included in your plan.", "4 of 4 requests are running at once."]) check(text.includes(part), `"${part}" in "${text}"`);
});

test("requests in progress: shown, and named when they take the rest", async ({ page, fake }) => {
  fake.user(TOKEN, usage([limit("messages", 100, 40, { held: 3 }), limit("premium", 20, 18, { held: 2 })]));
  await mount(page, fake);
  check((await words(page, ".limit"))[0].includes("3 in progress"), "held is shown");
  check((await words(page, ".status"))[0].includes("Premium messages: all that is left is taken by requests in progress (2)."), "held takes the rest");
});

test("pace forecast: before the reset, within it, and none too early", async ({ page, fake }) => {
  // 17.4 of 30 days are gone.
  fake.user(TOKEN, usage([limit("messages", 100, 87), limit("premium", 20, 6)]));
  await mount(page, fake);
  const paces = await words(page, "[part=limit-forecast]");
  equal(paces, ["At this pace used up on 21 November.", "At this pace about 10 of 20 by the reset."], "forecasts");
  fake.change(TOKEN, usage([limit("messages", 100, 30)], { lastReset: "2026-11-18T09:00:00.000Z" }));
  await until(async () => (await words(page, ".value"))[0] === "30 of 100", "new figures");
  check(!(await card(page, 0).locator("[part=limit-forecast]").isVisible()), "no forecast an hour after a reset");
});

test("live by SSE: the bar moves without a reload; a broken stream resumes by Last-Event-ID", async ({ page, fake }) => {
  fake.user(TOKEN, at(10));
  await mount(page, fake);
  await page.evaluate(() => { window.same = true; });
  await until(async () => (await words(page, ".live"))[0] === "Live", "live");
  fake.change(TOKEN, at(11));
  await until(async () => (await words(page, ".value"))[0] === "11 of 100", "11 shown");
  check(await page.evaluate(() => window.same), "no reload");
  const [before, polls] = [fake.count("/api/usage/stream"), fake.count("/api/usage")];
  fake.cut();
  await until(async () => (await words(page, ".live"))[0] !== "Live", "loss is shown");
  for (let step = 0; fake.count("/api/usage/stream") === before; step += 1) {
    check(step < 50, "stream is opened again");
    await page.clock.runFor(500);
  }
  equal(fake.requests.findLast((one) => one.path === "/api/usage/stream").headers["last-event-id"], eventId(at(11)), "Last-Event-ID");
  check(fake.count("/api/usage") > polls, "polled meanwhile");
  await until(async () => (await words(page, ".live"))[0] === "Live", "live again");
});

for (const status of [404, 405, 501]) {
  test(`polling when the stream answers ${status}`, async ({ page, fake }) => {
    fake.user(TOKEN, at(10), { stream: status });
    await mount(page, fake);
    await until(async () => (await words(page, ".live"))[0] === "Updates every 30 seconds", "polling is said");
    fake.change(TOKEN, at(12));
    for (let step = 0; step < 7; step += 1) await page.clock.runFor(5_000);
    await until(async () => (await words(page, ".value"))[0] === "12 of 100", "12 shown");
    equal(fake.count("/api/usage/stream"), 1, "streams tried");
  });
}

test("polling backs off while the gateway is down, keeps the last figures, and recovers", async ({ page, fake }) => {
  fake.user(TOKEN, at(10), { stream: 404 });
  await mount(page, fake);
  fake.broken.set("/api/usage", 500);
  await until(async () => {
    await page.clock.runFor(5_000);
    return (await page.locator("usage-dashboard .root").getAttribute("data-state")) === "error";
  }, "failure is shown");
  const [text] = await words(page, ".notice");
  check(text.includes("The figures are from 11:00") && text.includes("The ledger did not answer."), text);
  equal((await words(page, ".value"))[0], "10 of 100", "last figures");
  const polls = fake.count("/api/usage");
  await page.clock.runFor(40_000);
  equal(fake.count("/api/usage"), polls, "no poll within 40 s of a failure");
  fake.broken.clear();
  // In small steps: a long one would run into the time limit of the request that it starts.
  await until(async () => {
    await page.clock.runFor(5_000);
    return (await page.locator("usage-dashboard .root").getAttribute("data-state")) === "ready";
  }, "recovers");
});

test("after a failure the stream's resumption brings the page back", async ({ page, fake }) => {
  fake.user(TOKEN, at(10));
  await mount(page, fake);
  await until(async () => (await words(page, ".live"))[0] === "Live", "live");
  for (const path of ["/api/usage", "/api/usage/stream"]) fake.broken.set(path, 500);
  fake.cut();
  await until(async () => {
    await page.clock.runFor(500);
    return (await page.locator("usage-dashboard .root").getAttribute("data-state")) === "error";
  }, "failure is shown");
  fake.broken.delete("/api/usage/stream");
  await until(async () => {
    await page.clock.runFor(1_000);
    return (await page.locator("usage-dashboard .root").getAttribute("data-state")) === "ready";
  }, "ready by the stream alone");
  equal((await words(page, ".live"))[0], "Live", "live");
});

test("refresh button; figures after a limit's reset come by themselves", async ({ page, fake }) => {
  fake.user(TOKEN, usage([limit("messages", 100, 5), limit("burst", 30, 30, { per: "minute", resetsAt: "2026-11-18T10:00:40.000Z" })]), { stream: 404 });
  await mount(page, fake);
  fake.user(TOKEN, usage([limit("messages", 100, 6), limit("burst", 30, 30, { per: "minute", resetsAt: "2026-11-18T10:00:40.000Z" })]), { stream: 404 });
  await page.locator("usage-dashboard [part=refresh]").click();
  await until(async () => (await words(page, ".value"))[0] === "6 of 100", "6 shown");
  await until(async () => (await words(page, "[role=status]"))[0].startsWith("Usage is up to date."), "said to screen readers");
  fake.user(TOKEN, usage([limit("messages", 100, 7), limit("burst", 30, 0, { per: "minute", resetsAt: null })]), { stream: 404 });
  for (let step = 0; (await words(page, ".value"))[1] !== "0 of 30"; step += 1) {
    check(step < 20, "read anew after the reset");
    await page.clock.runFor(4_000);
  }
});

test("a limit that turns is said to screen readers; each message is not", async ({ page, fake }) => {
  fake.user(TOKEN, at(72));
  await mount(page, fake);
  await until(async () => (await words(page, ".live"))[0] === "Live", "live");
  fake.change(TOKEN, at(73));
  await until(async () => (await words(page, ".value"))[0] === "73 of 100", "73 shown");
  equal(await words(page, "[role=status]"), [""], "nothing said");
  fake.change(TOKEN, at(75));
  await until(async () => (await words(page, "[role=status]"))[0] === "Messages: Running low. 75 of 100.", "turn is said");
});

test("states: loading, empty, error with retry, unreachable, nonsense, degraded", async ({ page, fake }) => {
  fake.user(TOKEN, usage([], { totalMessages: 7 }));
  fake.hold("/api/usage");
  await mount(page, fake, { state: "loading" });
  check((await words(page, ".notice"))[0].includes("Loading usage"), "loading is said");
  await axe(page, "loading");
  fake.release();
  await inState(page, "ready");
  check((await words(page, ".notice"))[0].includes("No limit applies to you. Messages this month: 7."), "empty is said");
  await axe(page, "empty");
  for (const [status, text] of [[503, "The ledger did not answer."], [0, "The gateway cannot be reached."]]) {
    for (const path of ["/api/usage", "/api/usage/stream"]) fake.broken.set(path, status);
    await mount(page, fake, { state: "error" });
    check((await words(page, ".notice"))[0].includes(text), `${status}: ${text}`);
    await axe(page, `error ${status}`);
  }
  fake.broken.clear();
  await page.locator("usage-dashboard [part=retry]").click();
  await inState(page, "ready");
  fake.user(TOKEN, { limits: "many" }, { stream: 404 });
  await mount(page, fake, { state: "error" });
  check((await words(page, ".notice"))[0].includes("could not be understood"), "nonsense is said");
  fake.user(TOKEN, usage([limit("messages", 100, 3)], { degraded: true }));
  await mount(page, fake);
  check((await words(page, ".notice"))[0].includes("counters cannot be reached"), "degraded is said");
});

test("signed out: no token, a refused one, one that cannot be a header", async ({ page, fake }) => {
  for (const [token, text] of [[null, "Sign in to see your usage."], ["unknown", "not valid or has expired"], ["naïve\ntoken", "not valid or has expired"]]) {
    await mount(page, fake, { token, state: "signed-out" });
    check((await words(page, ".notice"))[0].includes(text), `${token}: ${text}`);
    await axe(page, `signed out with ${token}`);
  }
  equal(fake.requests.filter((one) => one.path === "/api/usage" && one.headers.authorization !== "Bearer unknown").length, 0, "requests without a usable token");
  fake.user(TOKEN, at(3));
  await page.evaluate((token) => { document.querySelector("usage-dashboard").token = token; }, TOKEN);
  await inState(page, "ready");
});

test("a token that expires in mid-stream: signed out, and the figures leave the page", async ({ page, fake }) => {
  fake.user(TOKEN, at(3));
  await mount(page, fake);
  fake.users.clear();
  fake.cut();
  await until(async () => {
    await page.clock.runFor(500);
    return (await page.locator("usage-dashboard .root").getAttribute("data-state")) === "signed-out";
  }, "signed out");
  check(!(await page.locator("usage-dashboard .root").innerText()).includes("user_123"), "no user id");
  equal(await page.locator("usage-dashboard .limit").count(), 0, "limits");
});

test("getToken is asked before each request; another token clears the page", async ({ page, fake }) => {
  for (const n of [1, 2, 3, 4, 5, 6]) fake.user(`short-lived-${n}`, at(n));
  await page.goto(`${fake.origin}/host`);
  await page.evaluate(() => {
    const element = document.createElement("usage-dashboard");
    let n = 0;
    element.getToken = async () => `short-lived-${(n += 1)}`;
    document.querySelector("main").append(element);
  });
  await until(async () => (await words(page, ".live"))[0] === "Live", "live");
  equal(new Set(fake.requests.filter((one) => one.path.startsWith("/api/")).map((one) => one.headers.authorization)).size, fake.requests.filter((one) => one.path.startsWith("/api/")).length, "tokens used");
  fake.user(TOKEN, usage([limit("messages", 100, 50)], { userId: "someone else" }));
  fake.hold("/api/usage");
  await page.evaluate((token) => { Object.assign(document.querySelector("usage-dashboard"), { getToken: null, token }); }, TOKEN);
  await inState(page, "loading");
  equal(await page.locator("usage-dashboard .limit").count(), 0, "limits of the user before");
  fake.release();
  await until(async () => (await words(page, "[part=user]"))[0] === "User: someone else", "the other user");
});

test("hostile text is shown as text", async ({ page, fake }) => {
  const evil = "<img src=x onerror=alert(1)>";
  fake.user(TOKEN, usage([limit(evil, 100, 100, { models: [evil] }), limit("premium", 20, 2, { meter: evil, per: evil, scope: evil })], { userId: evil, plan: evil, premiumModels: [evil] }), { history: [{ month: evil, messages: evil }, { month: "2026-11", messages: 3, premiumMessages: 9 }] });
  await mount(page, fake);
  equal((await words(page, "[part=user]"))[0], `User: ${evil}`, "user id");
  equal(await page.locator("usage-dashboard img").count(), 0, "images");
  await axe(page, "hostile text");
});

test("themes: light, dark, and the reader's choice", async ({ page, fake }) => {
  fake.user(TOKEN, at(76, 19));
  const background = () => page.locator("usage-dashboard .root").evaluate((root) => getComputedStyle(root).backgroundColor);
  const seen = {};
  for (const [scheme, theme] of [["light", "light"], ["light", "dark"], ["dark", "light"], ["dark", "dark"], ["light", "auto"], ["dark", "auto"]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await mount(page, fake, { theme });
    seen[`${scheme} ${theme}`] = await background();
    await axe(page, `theme ${theme} where ${scheme} is preferred`);
  }
  check(seen["light light"] !== seen["light dark"], "light and dark differ");
  equal([seen["dark light"], seen["dark dark"], seen["light auto"], seen["dark auto"]], [seen["light light"], seen["light dark"], seen["light light"], seen["light dark"]], "backgrounds");
});

test("custom properties and parts reach the picture", async ({ page, fake }) => {
  fake.user(TOKEN, at(10));
  await mount(page, fake);
  const shown = await page.evaluate(() => {
    const style = new CSSStyleSheet();
    style.replaceSync("usage-dashboard { --usage-bg: rgb(1, 2, 3); } usage-dashboard::part(title) { letter-spacing: 7px; }");
    document.adoptedStyleSheets = [style];
    const root = document.querySelector("usage-dashboard").shadowRoot;
    return [getComputedStyle(root.querySelector(".root")).backgroundColor, getComputedStyle(root.querySelector("h2")).letterSpacing];
  });
  equal(shown, ["rgb(1, 2, 3)", "7px"], "styles");
});

test("320 px wide: nothing sticks out, in any state", async ({ page, fake }) => {
  await page.setViewportSize({ width: 320, height: 700 });
  const long = "a".repeat(200);
  fake.user(TOKEN, usage([limit("messages", 1_000_000_000, 999_999_999), limit("premium", 20, 20), limit(long, 5, 5, { models: [long], scope: "team" })], { userId: long, premiumModels: [long] }));
  await mount(page, fake);
  await noSidewaysScroll(page, "figures");
  await axe(page, "320 px");
  await mount(page, fake, { locale: "de" });
  await noSidewaysScroll(page, "German");
  for (const path of ["/api/usage", "/api/usage/stream"]) fake.broken.set(path, 503);
  await mount(page, fake, { state: "error" });
  await noSidewaysScroll(page, "error");
});

test("keyboard: the refresh button is reached, seen and pressed", async ({ page, fake }) => {
  fake.user(TOKEN, at(10), { stream: 404 });
  await mount(page, fake);
  await page.keyboard.press("Tab");
  const focus = () => page.evaluate(() => {
    const element = document.querySelector("usage-dashboard").shadowRoot.activeElement;
    return element && [element.getAttribute("part"), getComputedStyle(element).outlineStyle, element.getBoundingClientRect().height >= 24];
  });
  equal(await focus(), ["refresh", "solid", true], "focus");
  for (const key of ["Enter", "Space"]) {
    const before = fake.count("/api/usage");
    await page.keyboard.press(key);
    await until(() => fake.count("/api/usage") > before, `${key} loads`);
    await until(async () => (await page.locator("usage-dashboard [part=refresh]").getAttribute("aria-disabled")) === "false", "done");
  }
  equal((await focus())[0], "refresh", "focus stays");
});

test("reduced motion: no bar slides", async ({ page, fake }) => {
  await page.emulateMedia({ reducedMotion: "reduce" });
  fake.user(TOKEN, at(10));
  await mount(page, fake);
  equal(await page.locator("usage-dashboard .fill").first().evaluate((fill) => getComputedStyle(fill).transitionProperty === "none" || getComputedStyle(fill).transitionDuration === "0s"), true, "no transition");
});

test("German, by attribute and by the page's language; unknown and malformed locales fall back", async ({ page, fake }) => {
  fake.user(TOKEN, at(45, 20));
  await mount(page, fake, { locale: "de-AT" });
  const [text] = await words(page, ".status");
  for (const part of ["Premium-Nachrichten aufgebraucht: 20 von 20.", "1. Dezember 2026", "in 13 Tagen"]) check(text.includes(part), `"${part}" in "${text}"`);
  equal(await page.locator("usage-dashboard .root").getAttribute("lang"), "de", "lang");
  await axe(page, "German");
  for (const [locale, title] of [["fr", "Usage"], ["not a locale!", "Usage"], ["DE", "Nutzung"]]) {
    await page.evaluate((locale) => document.querySelector("usage-dashboard").setAttribute("locale", locale), locale);
    equal(await words(page, "h2"), [title], locale);
  }
  await page.evaluate(() => {
    document.documentElement.lang = "de";
    document.querySelector("usage-dashboard").removeAttribute("locale");
  });
  equal(await words(page, "h2"), ["Nutzung"], "page's language");
});

test("history: six months with the gap between, as bars and as a table; none without the call", async ({ page, fake }) => {
  fake.user(TOKEN, at(45, 12));
  await mount(page, fake);
  await page.locator("usage-dashboard .chart").waitFor();
  equal(await words(page, ".month .count"), ["23", "100", "0", "61", "88", "45"], "bars");
  equal((await words(page, "[part=history] tbody tr")).at(2), "August 202600", "the month without a row");
  fake.broken.set("/api/usage/history", 404);
  await mount(page, fake);
  await until(() => fake.requests.some((one) => one.path === "/api/usage/history"), "asked");
  equal(await page.locator("usage-dashboard [part=history]").count(), 0, "history without the call");
  fake.broken.set("/api/usage/history", 500);
  await mount(page, fake);
  await until(async () => (await words(page, "[part=history]"))[0]?.includes("could not be loaded"), "failure is said");
});

test("removed from the page: the stream ends and nothing is asked any more", async ({ page, fake }) => {
  fake.user(TOKEN, at(10));
  await mount(page, fake);
  await until(() => fake.streams(TOKEN) === 1, "stream");
  await page.evaluate(() => document.querySelector("usage-dashboard").remove());
  await until(() => fake.streams(TOKEN) === 0, "stream ends");
  const before = fake.requests.length;
  await page.clock.runFor(120_000);
  equal(fake.requests.length, before, "requests");
});

test("the token is in one header only: not in the markup, not in a URL", async ({ page, fake }) => {
  fake.user(TOKEN, at(10));
  await mount(page, fake);
  check(!(await page.content()).includes(TOKEN), "markup");
  check(fake.requests.every((one) => !one.url.includes(TOKEN)), "URLs");
  for (const request of fake.requests.filter((one) => one.path.startsWith("/api/"))) equal(request.headers.authorization, `Bearer ${TOKEN}`, "header");
});

test("a hidden page holds no connection; seen again, it resumes", async ({ page, fake }) => {
  fake.user(TOKEN, at(10));
  await mount(page, fake);
  await until(() => fake.streams(TOKEN) === 1, "stream");
  const hide = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await until(async () => (await words(page, ".live"))[0] === "Live", "live");
  await hide(true);
  await until(() => fake.streams(TOKEN) === 0, "stream ends");
  fake.change(TOKEN, at(20));
  const before = fake.requests.length;
  for (let step = 0; step < 20; step += 1) await page.clock.runFor(5_000);
  equal(fake.requests.length, before, "requests of a hidden page");
  await hide(false);
  await until(async () => (await words(page, ".value"))[0] === "20 of 100", "20 shown");
  check(fake.requests.findLast((one) => one.path === "/api/usage/stream").headers["last-event-id"] !== undefined, "Last-Event-ID");
});

test("the plain example on another origin: embeds the gateway's module, renews its token, follows live", async ({ browser, fake }) => {
  const folder = join(process.env.ROOT_DIR, "dashboard/examples/plain");
  const host = createServer((request, answer) => {
    const isScript = request.url === "/chat.js";
    const text = readFileSync(join(folder, isScript ? "chat.js" : "index.html"), "utf8").replaceAll("http://127.0.0.1:8080", fake.origin);
    answer.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html" }).end(text);
  });
  await new Promise((done) => host.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${host.address().port}`;
  const { context, page, faults } = await openPage(browser, { origin: [origin, fake.origin], secrets });
  try {
    await page.goto(`${origin}/`);
    await page.getByRole("link", { name: "Sign in" }).waitFor();
    fake.user(TOKEN, at(98));
    await page.evaluate((token) => {
      sessionStorage.setItem("chat-token", token);
      return document.querySelector("usage-dashboard").refresh();
    }, TOKEN);
    await until(async () => (await words(page, ".live"))[0] === "Live", "live");
    fake.change(TOKEN, at(100));
    await until(async () => (await page.title()) === "Chat (quota used up)", "the page is told");
    fake.cut();
    const before = fake.count("/api/usage/stream");
    for (let step = 0; fake.count("/api/usage/stream") === before; step += 1) {
      check(step < 50, "stream is opened again");
      await page.clock.runFor(500);
    }
    await axe(page, "plain example");
    equal(faults, [], "faults");
  } finally {
    await context.close();
    host.closeAllConnections();
    host.close();
  }
});
