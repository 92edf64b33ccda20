// The screenshots of README, into SHOTS_DIR; without it the same pages are opened and checked, and no file is written.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { companyAnalytics, months } from "./company.mjs";
import { limit, usage } from "./fake.mjs";
import { test } from "./harness.mjs";
import { openAdmin, tokens, users } from "./pages.mjs";

const FOLDER = process.env.SHOTS_DIR;
async function shot(page, name, options = {}) {
  // The bars slide to their places first.
  await page.waitForFunction(() => [...document.querySelectorAll("usage-dashboard")].flatMap((one) => one.shadowRoot.getAnimations()).length === 0);
  if (!FOLDER) return;
  mkdirSync(FOLDER, { recursive: true });
  await page.screenshot({ path: join(FOLDER, `${name}.png`), animations: "disabled", ...options });
}

const PERSON = "priya.raman@larkspur.example";

async function dashboard(page, fake, body) {
  users(fake);
  fake.user(tokens.USER, { ...body, userId: PERSON }, { history: months(body) });
  await page.goto(`${fake.origin}/dashboard#token=${tokens.USER}`);
  await page.locator("usage-dashboard .chart").waitFor();
  await page.getByText("Live", { exact: true }).waitFor();
}
const team = () => usage([limit("messages", 100, 58, { held: 2 }), limit("premium", 20, 16), limit("pool", 5000, 4612, { scope: "team" }), limit("parallel", 4, 0, { meter: "in_flight", per: null, resetsAt: null, held: 2 })], { plan: "team" });

test("screenshot: light", async ({ page, fake }) => {
  await dashboard(page, fake, team());
  await shot(page, "dashboard-light", { fullPage: true });
});
test("screenshot: dark", async ({ page, fake }) => {
  await page.emulateMedia({ colorScheme: "dark" });
  await dashboard(page, fake, team());
  await shot(page, "dashboard-dark", { fullPage: true });
});
test("screenshot: phone", async ({ page, fake }) => {
  await page.setViewportSize({ width: 375, height: 800 });
  await dashboard(page, fake, team());
  await shot(page, "dashboard-phone", { fullPage: true });
});
test("screenshot: spent", async ({ page, fake }) => {
  await dashboard(page, fake, usage([limit("messages", 100, 76), limit("premium", 20, 20)]));
  await shot(page, "dashboard-spent", { fullPage: true });
});
test("screenshot: admin", async ({ page, fake }) => {
  await page.setViewportSize({ width: 1280, height: 900 });
  fake.analytics = companyAnalytics;
  await openAdmin(page, fake);
  await page.getByRole("button", { name: "30 days" }).click();
  await page.getByText("Oct").first().waitFor();
  await shot(page, "admin-overview", { fullPage: true });
});
test("screenshot: admin, one user", async ({ page, fake }) => {
  await page.setViewportSize({ width: 1280, height: 900 });
  fake.analytics = companyAnalytics;
  await openAdmin(page, fake);
  const spent = usage([limit("messages", 100, 76), limit("premium", 20, 20)]);
  fake.user(tokens.ADMIN, spent, { admin: true, history: months(spent) });
  fake.audit.unshift({ at: "2026-10-21T14:32:00Z", actor: "ops@larkspur.example", action: "usage.reset", subject: PERSON, reason: "Upstream incident on 20 October" });
  await page.evaluate((person) => { location.hash = `user/${person}`; }, PERSON);
  await page.locator("usage-dashboard .chart").waitFor();
  await page.getByLabel("Model", { exact: true }).fill("claude-sonnet-4");
  await page.getByRole("button", { name: "Explain" }).click();
  await page.getByText("The next message would be refused.").waitFor();
  await shot(page, "admin-user", { fullPage: true });
});
