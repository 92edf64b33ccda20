// Chat pages of another origin that embed the dashboard of a real gateway: README's three lines, the plain example, the
// React example. Needs CHAT_PORT, whose origin the gateway's `server.cors_origins` names.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { axe, check, equal, noSidewaysScroll, test, until } from "./harness.mjs";
import { GATEWAY, newUser, send } from "./gateway.mjs";
import { build, example } from "./react.mjs";

const ORIGIN = `http://127.0.0.1:${process.env.CHAT_PORT}`;
const embedded = { origin: [ORIGIN, GATEWAY], options: { clock: false } };
const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };

/** Serves what `read(path)` gives, as long as `body` runs. */
async function serve(read, body) {
  const host = createServer((request, answer) => {
    const path = normalize(new URL(request.url, ORIGIN).pathname === "/" ? "/index.html" : new URL(request.url, ORIGIN).pathname);
    let content;
    try {
      content = read(path);
    } catch {
      // The browser asks for /favicon.ico by itself.
      return void answer.writeHead(404).end();
    }
    answer.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }).end(content);
  });
  await new Promise((done, failed) => host.on("error", failed).listen(Number(process.env.CHAT_PORT), "127.0.0.1", done));
  try {
    await body();
  } finally {
    host.closeAllConnections();
    await new Promise((done) => host.close(done));
  }
}
const value = (page) => page.locator("usage-dashboard .value").first();
const shows = (page, text) => until(async () => (await value(page).count()) > 0 && (await value(page).textContent()) === text, text);
const live = (page) => until(async () => (await page.locator("usage-dashboard .live").textContent()) === "Live", "live");

test("embed: README's three lines in a page of another origin follow a real gateway", async ({ page }) => {
  const readme = readFileSync(join(process.env.ROOT_DIR, "README.md"), "utf8");
  const lines = /```html\n(<script[\s\S]*?)```/.exec(readme)?.[1].trim() ?? "";
  equal(lines.split("\n").length, 3, "lines in README");
  const user = newUser();
  const html = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Chat</title>
    <link rel="icon" href="data:,"><script>window.myChatApp = { token: () => ${JSON.stringify(user.token)} };</script></head><body><main><h1>Chat</h1>
    ${lines.replaceAll("https://GATEWAY", GATEWAY)}</main></body></html>`;
  await serve((path) => { check(path === "/index.html", path); return html; }, async () => {
    await page.goto(`${ORIGIN}/`);
    await shows(page, "0 of 100");
    await live(page);
    await send(user.token);
    await shows(page, "1 of 100");
    await axe(page, "README's lines");
  });
}, embedded);

test("embed: the plain example against a real gateway", async ({ page }) => {
  const folder = join(process.env.ROOT_DIR, "dashboard/examples/plain");
  const user = newUser();
  await serve((path) => readFileSync(join(folder, path), "utf8").replaceAll("http://127.0.0.1:8080", GATEWAY), async () => {
    await page.goto(`${ORIGIN}/`);
    await page.getByRole("link", { name: "Sign in" }).waitFor();
    await page.evaluate((token) => {
      sessionStorage.setItem("chat-token", token);
      return document.querySelector("usage-dashboard").refresh();
    }, user.token);
    await shows(page, "0 of 100");
    await live(page);
    await send(user.token, 100);
    await until(async () => (await page.title()) === "Chat (quota used up)", "the page is told");
    await page.setViewportSize({ width: 320, height: 640 });
    await noSidewaysScroll(page, "plain example");
    await axe(page, "plain example");
  });
}, embedded);

test("embed: the React example, built with Vite, against a real gateway", async ({ page }) => {
  const app = example("react-gateway");
  await build(app, {}, { "import.meta.env.VITE_GATEWAY": JSON.stringify(GATEWAY) });
  const user = newUser();
  await serve((path) => readFileSync(join(app, "dist", path)), async () => {
    await page.goto(`${ORIGIN}/`);
    await page.getByRole("link", { name: "Sign in" }).waitFor();
    await page.evaluate((token) => sessionStorage.setItem("chat-token", token), user.token);
    await page.getByRole("button", { name: "Reload usage" }).click();
    await shows(page, "0 of 100");
    await live(page);
    await send(user.token);
    await until(async () => (await page.locator("#summary").textContent()) === "1 messages this month", "onUsage");
    await axe(page, "React example");
  });
}, embedded);
