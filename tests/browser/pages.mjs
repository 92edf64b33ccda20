// /dashboard and /admin as a person uses them: sign-in, charts, tables, CSV, one user, reset, audit log, what is missing.

import { readFile } from "node:fs/promises";
import { analytics, limit, usage } from "./fake.mjs";
import { axe, axeInBothThemes, check, equal, noSidewaysScroll, test, until } from "./harness.mjs";

const USER = "secret-token-of-a-user";
const ADMIN = "secret-token-of-an-admin";
export const secrets = [USER, ADMIN];
export const figures = () => usage([limit("messages", 100, 76), limit("premium", 20, 19)]);
export const tokens = { USER, ADMIN };

export function users(fake) {
  fake.user(USER, figures());
  fake.user(ADMIN, usage([limit("messages", 100, 1)], { userId: "root@example.com" }), { admin: true });
}
const ready = (page) => page.locator('usage-dashboard .root[data-state="ready"]').waitFor();

export async function openAdmin(page, fake, view = "overview") {
  users(fake);
  await page.goto(`${fake.origin}/admin#token=${ADMIN}`);
  await page.locator("nav").waitFor();
  if (view !== "overview") await page.evaluate((hash) => { location.hash = hash; }, view);
}
const chartCard = (page, title) => page.locator("section.card", { has: page.getByRole("heading", { name: title, exact: true }) });

test("/dashboard: sign in by pasting, with the keyboard only; sign out", async ({ page, fake }) => {
  users(fake);
  await page.goto(`${fake.origin}/dashboard`);
  await axe(page, "/dashboard, signed out");
  for (let step = 0; (await page.evaluate(() => document.activeElement.id)) !== "token"; step += 1) {
    check(step < 5, "the field is reached by Tab");
    await page.keyboard.press("Tab");
  }
  await page.keyboard.type("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("This token is not valid or has expired.").waitFor();
  equal(await page.evaluate(() => document.activeElement.id), "token", "focus after a refusal");
  await axe(page, "/dashboard, refused");
  await page.keyboard.type(USER);
  await page.keyboard.press("Enter");
  await ready(page);
  await axe(page, "/dashboard");
  await page.reload();
  await ready(page);
  await page.getByRole("button", { name: "Sign out" }).click();
  equal(await page.locator("usage-dashboard").count(), 0, "dashboards after signing out");
  equal(await page.evaluate(() => JSON.stringify({ ...sessionStorage, ...localStorage })).then((text) => text.includes(USER)), false, "token is forgotten");
});

test("/dashboard#token=: taken out of the address bar, kept in this tab only, in no URL", async ({ page, fake }) => {
  users(fake);
  await page.goto(`${fake.origin}/dashboard#token=${USER}`);
  await ready(page);
  equal(page.url(), `${fake.origin}/dashboard`, "address");
  equal(await page.evaluate(() => [Object.values(sessionStorage), Object.values(localStorage), document.cookie]), [[USER], [], ""], "stores");
  check(fake.requests.every((one) => !one.url.includes(USER) && !(one.headers.referer ?? "").includes(USER)), "requests");
  await page.evaluate((token) => { location.hash = `token=${token}`; }, ADMIN);
  await until(async () => (await page.locator("usage-dashboard [part=user]").textContent()).includes("root@example.com"), "another token is taken");
  equal(page.url(), `${fake.origin}/dashboard`, "address");
});

test("/dashboard: theme button, kept over a reload", async ({ page, fake }) => {
  users(fake);
  await page.goto(`${fake.origin}/dashboard#token=${USER}`);
  await ready(page);
  const look = () => page.evaluate(() => [getComputedStyle(document.body).backgroundColor, getComputedStyle(document.querySelector("usage-dashboard").shadowRoot.querySelector(".root")).backgroundColor]);
  const light = await look();
  for (const name of ["Theme: auto", "Theme: light"]) await page.getByRole("button", { name }).click();
  const dark = await look();
  check(light[0] !== dark[0] && light[1] !== dark[1], "page and element turn dark");
  await page.reload();
  await ready(page);
  equal(await look(), dark, "after a reload");
  await axe(page, "/dashboard, dark");
});

test("/dashboard in German", async ({ page, fake }) => {
  users(fake);
  await page.goto(`${fake.origin}/dashboard`);
  await page.getByRole("heading", { name: "Ihre Nutzung" }).waitFor();
  equal(await page.evaluate(() => document.documentElement.lang), "de", "lang");
  await page.getByLabel("Token").fill(USER);
  await page.getByRole("button", { name: "Nutzung zeigen" }).click();
  await ready(page);
  equal(await page.locator("usage-dashboard h2").textContent(), "Nutzung", "element");
}, { options: { locale: "de-DE" } });

test("both pages at 320 px: nothing sticks out", async ({ page, fake }) => {
  await page.setViewportSize({ width: 320, height: 640 });
  users(fake);
  await page.goto(`${fake.origin}/dashboard`);
  await noSidewaysScroll(page, "/dashboard, signed out");
  await page.goto(`${fake.origin}/dashboard#token=${USER}`);
  await ready(page);
  await noSidewaysScroll(page, "/dashboard");
  await openAdmin(page, fake);
  await chartCard(page, "Messages per day").locator("svg").waitFor();
  await noSidewaysScroll(page, "/admin");
  await page.evaluate(() => { location.hash = "user/anna"; });
  await ready(page);
  await noSidewaysScroll(page, "/admin#user");
  await page.evaluate(() => { location.hash = "audit"; });
  await page.getByRole("cell", { name: "usage.reset" }).waitFor();
  await noSidewaysScroll(page, "/admin#audit");
  await axeInBothThemes(page, "/admin#audit at 320 px");
});

test("/admin: figures, charts with values on hover and by keys, table", async ({ page, fake }) => {
  await openAdmin(page, fake);
  const card = chartCard(page, "Messages per day");
  await card.locator("svg").waitFor();
  equal(await card.locator("rect.mark").count(), 14, "bars of seven days");
  await axeInBothThemes(page, "/admin");
  const plot = card.locator(".plot");
  await plot.focus();
  await page.keyboard.press("Home");
  const readout = async (day) => check((await card.locator(".readout").textContent()).includes(day), `${day} in ${await card.locator(".readout").textContent()}`);
  await readout("12 Nov 2026");
  await page.keyboard.press("ArrowRight");
  await readout("13 Nov 2026");
  const box = await plot.boundingBox();
  await page.mouse.move(box.x + box.width - 20, box.y + 60);
  await readout("18 Nov 2026");
  await card.getByRole("button", { name: "Table: Messages per day" }).click();
  equal(await card.locator("tbody tr").count(), 7, "rows");
  check(!(await plot.isVisible()), "the chart makes room");
  await axeInBothThemes(page, "/admin, table");
  await page.getByRole("button", { name: "365 days" }).click();
  await until(async () => (await chartCard(page, "Messages per day").locator("rect.mark").count()) > 600, "a year's bars");
  await axeInBothThemes(page, "/admin, a year");
});

test("/admin: errors and latency show the API's own figures, on hover, by keys, as a table and as CSV; none where there is none", async ({ page, fake }) => {
  fake.quiet = "2026-11-14";
  const { days, totals } = analytics(7, undefined, fake.quiet);
  await openAdmin(page, fake);
  const count = (value) => value.toLocaleString("en-GB");
  const ms = (value) => (value === null ? "–" : `${count(value)} ms`);
  const charts = [
    ["Errors per day", ["Errors"], (day) => [count(day.errors)], (day) => [day.errors]],
    ["Latency per day", ["p50", "p95"], (day) => [ms(day.p50Ms), ms(day.p95Ms)], (day) => [day.p50Ms, day.p95Ms]],
    ["Time to first byte per day", ["p50", "p95"], (day) => [ms(day.firstByteP50Ms), ms(day.firstByteP95Ms)], (day) => [day.firstByteP50Ms, day.firstByteP95Ms]],
  ];
  for (const [title, names, texts, values] of charts) {
    const card = chartCard(page, title);
    await card.locator("svg").waitFor();
    const readout = async (day, how) => {
      const seen = await card.locator(".readout .key").allTextContents();
      equal(seen, names.map((name, at) => `${name} ${texts(day)[at]}`), `${title} on ${day.date}, ${how}`);
    };
    await card.scrollIntoViewIfNeeded();
    const box = await card.locator(".plot").boundingBox();
    const [left, step] = [52, (box.width - 60) / 7];
    for (const [index, day] of days.entries()) {
      await page.mouse.move(box.x + left + step * (index + 0.5), box.y + 90);
      await readout(day, "on hover");
    }
    await page.mouse.move(0, 0);
    await card.locator(".plot").focus();
    await page.keyboard.press("Home");
    for (const day of days) {
      await readout(day, "by keys");
      await page.keyboard.press("ArrowRight");
    }
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: `CSV: ${title}`, exact: true }).click()]);
    const lines = (await readFile(await download.path(), "utf8")).replace("\ufeff", "").trim().split("\r\n");
    equal(lines, [["Day", ...names], ...days.map((day) => [day.date, ...values(day).map((value) => value ?? "")])].map((line) => line.join(",")), `CSV of ${title}`);
    await page.getByRole("button", { name: `Table: ${title}`, exact: true }).click();
    equal(await card.locator("tbody tr").evaluateAll((rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))), days.map((day) => [day.date, ...texts(day)]), `table of ${title}`);
  }
  equal(await chartCard(page, "Latency per day").locator("circle").count(), 12, "six days of two lines");
  equal(await chartCard(page, "Latency per day").locator("polyline").count(), 4, "each line has a gap");
  check((await chartCard(page, "Latency per day").textContent()).includes(`half within ${ms(totals.p50Ms)}, 95 % within ${ms(totals.p95Ms)}`), "the range's own");
  check((await chartCard(page, "Errors per day").textContent()).includes(`${count(totals.errors)} of ${count(totals.calls)} calls`), "errors of all calls");
  equal(await page.locator(".tiles div", { hasText: "Errors" }).locator("dd").textContent(), count(totals.errors), "tile");
  await axeInBothThemes(page, "/admin, errors and latency as tables");
});

test("/admin: CSV, with formulas made harmless", async ({ page, fake }) => {
  await openAdmin(page, fake);
  const save = async (name) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name }).click()]);
    return [download.suggestedFilename(), await readFile(await download.path(), "utf8")];
  };
  const [name, text] = await save("CSV: Top users");
  equal(name, "tollgate-top-users.csv", "name");
  equal(text, "\ufeffUser,Messages,Premium\r\nanna@example.com,412,120\r\n<img src=x onerror=alert(1)>,300,4\r\n\"'=HYPERLINK(\"\"x\"\")\",120,0\r\n", "CSV");
  const [, days] = await save("CSV: Messages per day");
  equal(days.trim().split("\r\n").length, 8, "lines");
});

test("/admin: who used up the budget yesterday, in two clicks", async ({ page, fake }) => {
  await openAdmin(page, fake);
  await page.evaluate(() => {
    window.clicks = 0;
    document.addEventListener("click", () => { window.clicks += 1; }, true);
  });
  await page.getByRole("button", { name: "Yesterday" }).click();
  await until(() => fake.requests.some((one) => one.url === "/api/analytics?days=1&until=2026-11-17"), "yesterday is asked for");
  await page.getByRole("link", { name: "anna@example.com" }).click();
  await ready(page);
  equal(await page.locator("usage-dashboard [part=user]").textContent(), "User: anna@example.com", "user");
  equal(await page.evaluate(() => window.clicks), 2, "clicks");
  fake.broken.set("/api/analytics", 400);
  await page.getByRole("link", { name: "Overview" }).click();
  await page.getByText("cannot show a range that ends before today").waitFor();
  await axeInBothThemes(page, "/admin, no yesterday");
});

test("/admin: users are searched by how their id begins, page by page", async ({ page, fake }) => {
  await openAdmin(page, fake, "user");
  const rows = page.locator("[data-place=user] tbody tr");
  await until(async () => (await rows.count()) === 50, "a page of users");
  await axeInBothThemes(page, "/admin#user, list");
  await page.getByRole("button", { name: "Show more" }).click();
  await until(async () => (await rows.count()) === 62, "the rest");
  equal(await page.getByRole("button", { name: "Show more" }).count(), 0, "more");
  await page.getByLabel("User id").pressSequentially("user-15");
  await until(async () => (await rows.count()) === 10, "ten begin so");
  await page.getByLabel("User id").fill("nobody");
  await page.getByText("No user id begins with this.").waitFor();
  await axeInBothThemes(page, "/admin#user, nothing found");
  await page.getByLabel("User id").fill("anna");
  await page.getByRole("link", { name: "anna@example.com" }).click();
  await ready(page);
});

test("/admin: active users by week and month", async ({ page, fake }) => {
  await openAdmin(page, fake);
  await page.getByRole("button", { name: "90 days" }).click();
  for (const [title, head, rows] of [["Active users per week", "Week of", 14], ["Active users per month", "Month", 4]]) {
    await page.getByRole("button", { name: `Table: ${title}` }).click();
    await until(async () => (await chartCard(page, title).locator("tbody tr").count()) === rows, `${rows} rows of ${title}`);
    equal((await chartCard(page, title).locator("thead th").allTextContents()), [head, "Users"], title);
  }
});

test("/admin: one user: limits, explain, reset with a reason, audit", async ({ page, fake }) => {
  const evil = "<img src=x onerror=alert(1)>";
  await openAdmin(page, fake, "user");
  await page.getByLabel("User id").fill(evil);
  await page.getByRole("button", { name: "Show user" }).click();
  await ready(page);
  equal(await page.locator("usage-dashboard [part=user]").textContent(), `User: ${evil}`, "user id as text");
  equal(await page.locator("img").count(), 0, "images");
  await axeInBothThemes(page, "/admin#user");
  await page.getByLabel("Model", { exact: true }).fill("claude-sonnet-4");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("The next message would pass.").waitFor();
  await axeInBothThemes(page, "/admin#user, explained");
  fake.users.get(ADMIN).usage.canSendPremiumMessage = false;
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("The next message would be refused.").waitFor();
  await axeInBothThemes(page, "/admin#user, explained: refused");
  await page.getByRole("button", { name: "Reset usage…" }).click();
  await axeInBothThemes(page, "/admin, reset dialog");
  await page.getByRole("dialog").getByRole("button", { name: "Reset usage" }).click();
  equal(fake.requests.filter((one) => one.method === "DELETE").length, 0, "resets without a reason");
  await page.getByLabel("Reason", { exact: true }).fill("Billing fault");
  fake.broken.set("/api/usage", 500);
  await page.getByRole("dialog").getByRole("button", { name: "Reset usage" }).click();
  await page.getByRole("dialog").getByText("The ledger did not answer.").waitFor();
  await axeInBothThemes(page, "/admin, reset dialog, failed");
  fake.broken.clear();
  await page.getByRole("dialog").getByRole("button", { name: "Reset usage" }).click();
  await page.getByText("Usage was reset.").waitFor();
  await axeInBothThemes(page, "/admin#user, after a reset");
  const reset = fake.requests.find((one) => one.method === "DELETE");
  equal([new URL(reset.url, fake.origin).searchParams.get("userId"), reset.body], [evil, '{"reason":"Billing fault"}'], "reset");
  await page.getByRole("cell", { name: "Billing fault" }).waitFor();
  await page.getByRole("link", { name: "Audit log" }).click();
  await until(async () => (await page.locator("[data-place=audit] tbody tr").count()) === 2, "two rows");
  await axeInBothThemes(page, "/admin#audit");
  await page.getByLabel("Who", { exact: true }).fill("nobody");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await page.getByText("Nothing stands in the log for this.").waitFor();
  await axeInBothThemes(page, "/admin#audit, nothing found");
});

test("/admin: a user's page shows all that was done to this user, however old", async ({ page, fake }) => {
  // Each third of these acts is on the user: more than a page, and none of them within the newest page alone.
  for (let number = 1; number <= 180; number += 1) {
    const [subject, reason] = number % 3 === 0 ? ["ben", `Reason ${number}`] : [`user-${number}`, "Other"];
    fake.audit.unshift({ at: "2026-11-18T08:00:00Z", actor: "root@example.com", action: "usage.reset", subject, reason });
  }
  await openAdmin(page, fake, "user/ben");
  await ready(page);
  const card = chartCard(page, "What was done to this user");
  const reasons = async () => card.locator("tbody tr td:last-child").allTextContents();
  const wanted = Array.from({ length: 60 }, (_, index) => `Reason ${180 - index * 3}`);
  await until(async () => (await reasons()).length === 50, "a page of records");
  equal(await reasons(), wanted.slice(0, 50), "the newest");
  await axeInBothThemes(page, "/admin#user, a long log");
  await page.getByRole("button", { name: "Show older" }).click();
  await until(async () => (await reasons()).length === 60, "the rest");
  equal(await reasons(), wanted, "all");
  equal(await page.getByRole("button", { name: "Show older" }).count(), 0, "more");
  await page.getByRole("link", { name: "Audit log" }).click();
  await page.getByLabel("Whom").fill("ben");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  await until(async () => (await page.locator("[data-place=audit] tbody tr").count()) === 50 && (await page.locator("[data-place=audit]").getByRole("link", { name: "ben" }).count()) === 50, "the log of one user");
  await axeInBothThemes(page, "/admin#audit, one user");
});

test("/admin: Escape closes the reset dialog and changes nothing", async ({ page, fake }) => {
  await openAdmin(page, fake, "user/anna");
  await ready(page);
  await page.getByRole("button", { name: "Reset usage…" }).focus();
  await page.keyboard.press("Enter");
  await page.keyboard.type("No");
  await page.keyboard.press("Escape");
  check(!(await page.getByRole("dialog").isVisible()), "closed");
  equal(fake.requests.filter((one) => one.method === "DELETE").length, 0, "resets");
});

test("/admin: what a gateway does not have, refuses or fails at is said", async ({ page, fake }) => {
  for (const [path, view] of [["/api/analytics", "overview"], ["/api/audit", "audit"], ["/api/users", "user"]]) {
    for (const [status, text] of [[404, "This gateway does not offer"], [500, "The ledger did not answer."]]) {
      fake.broken.set(path, status);
      await page.goto("about:blank");
      await openAdmin(page, fake, view);
      await page.getByText(text).filter({ visible: true }).first().waitFor();
      await axeInBothThemes(page, `/admin#${view} with ${status}`);
    }
    fake.broken.clear();
  }
  fake.broken.set("/api/explain", 404);
  await page.evaluate(() => { location.hash = "user/anna"; });
  await ready(page);
  await page.getByLabel("Model", { exact: true }).fill("m");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("does not offer explanations").waitFor();
  await axeInBothThemes(page, "/admin#user without explanations");
});

test("/admin: says that it loads, and that it has loaded anew", async ({ page, fake }) => {
  fake.hold("/api/analytics");
  await openAdmin(page, fake);
  await page.getByText("Loading…").waitFor();
  await axeInBothThemes(page, "/admin, loading");
  fake.release();
  await chartCard(page, "Messages per day").locator("svg").waitFor();
  await page.getByRole("button", { name: "Refresh" }).click();
  await page.getByText("Figures are up to date.").waitFor();
  await axeInBothThemes(page, "/admin, refreshed");
});

test("/admin: a user's token is told that it is not enough; a refused one is asked for anew", async ({ page, fake }) => {
  users(fake);
  await page.goto(`${fake.origin}/admin`);
  await axeInBothThemes(page, "/admin, signed out");
  await page.getByLabel("Token").fill(USER);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByText("Only an administrator may do this. Sign in with an administrator's token.").waitFor();
  await axeInBothThemes(page, "/admin, not an administrator");
  fake.users.clear();
  await page.getByRole("button", { name: "Refresh" }).click();
  await page.getByText("This token is not valid or has expired.").waitFor();
  equal(await page.locator("nav").isVisible(), false, "navigation");
  await axeInBothThemes(page, "/admin, refused");
});
