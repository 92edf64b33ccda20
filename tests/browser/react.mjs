// The npm package as an app gets it (`npm pack`), in the Vite example, with React 19 and 18, in the browser.

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { limit, usage } from "./fake.mjs";
import { axe, check, equal, test, until } from "./harness.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const DASHBOARD = join(process.env.ROOT_DIR, "dashboard");
const TOKEN = "secret-token-of-user-123";
const at = (used) => usage([limit("messages", 100, used)]);

/** The example with the packed package beside it, as `npm install` would leave it. */
export function example(name) {
  const app = join(HERE, name);
  cpSync(join(DASHBOARD, "examples/react"), app, { recursive: true, filter: (path) => !/node_modules|dist$/.test(path) });
  const target = join(app, "node_modules/@tollgate/usage-dashboard");
  mkdirSync(target, { recursive: true });
  const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", "--loglevel=error", "--pack-destination", target], { cwd: DASHBOARD, stdio: ["ignore", "pipe", "ignore"] }));
  execFileSync("tar", ["xzf", filename, "--strip-components=1"], { cwd: target });
  return app;
}

export async function build(app, alias, define = {}) {
  const { build: viteBuild } = await import("vite");
  await viteBuild({ root: app, base: "./", logLevel: "error", resolve: { alias }, define });
}

test("the package packs what it exports; the example type-checks", async () => {
  const app = example("react-types");
  const target = join(app, "node_modules/@tollgate/usage-dashboard");
  const { exports } = JSON.parse(readFileSync(join(target, "package.json"), "utf8"));
  for (const one of Object.values(exports)) for (const file of Object.values(typeof one === "string" ? { one } : one)) check(readFileSync(join(target, file), "utf8").length > 0, file);
  const tsc = join(HERE, "../node_modules/.bin/tsc");
  const run = (cwd) => {
    try {
      execFileSync(tsc, ["--project", cwd], { cwd, stdio: "pipe" });
      return "";
    } catch (error) {
      return `${error.stdout}${error.stderr}`;
    }
  };
  equal(run(app), "", "type errors");
  const main = join(app, "src/main.tsx");
  writeFileSync(main, readFileSync(main, "utf8").replace('theme="auto"', 'theme="pink"'));
  check(run(app).includes('"pink"'), "a wrong prop is a type error");
});

for (const [version, alias] of [[19, {}], [18, { "react-dom": "react-dom-18", react: "react-18" }]]) {
  test(`React ${version}: renders, follows, keeps its callbacks, ends with the component`, async ({ page, fake }) => {
    const app = example(`react-app-${version}`);
    await build(app, alias);
    const scripts = readdirSync(join(app, "dist/assets")).filter((file) => file.endsWith(".js")).map((file) => readFileSync(join(app, "dist/assets", file), "utf8"));
    const reacts = scripts.flatMap((text) => text.match(/(?<=["'`])1[89]\.\d+\.\d+(?=["'`])/g) ?? []);
    check(reacts.length > 0 && reacts.every((one) => one.startsWith(String(version))), `React ${version} in the bundle, found ${reacts}`);
    fake.extra.set(`/react-${version}/`, join(app, "dist"));
    fake.user(TOKEN, at(74));
    await page.goto(`${fake.origin}/react-${version}/`);
    await page.locator('usage-dashboard .root[data-state="signed-out"]').waitFor();
    check(await page.getByRole("link", { name: "Sign in" }).isVisible(), "slotted child");
    await page.evaluate((token) => sessionStorage.setItem("chat-token", token), TOKEN);
    await page.getByRole("button", { name: "Reload usage" }).click();
    await until(async () => (await page.locator("#summary").textContent()) === "74 messages this month", "onUsage");
    equal(await page.locator("usage-dashboard").getAttribute("class"), "usage", "className");
    check(!(await page.content()).includes(TOKEN), "token in the markup");
    await until(() => fake.streams(TOKEN) === 1, "one stream, in strict mode too");
    const before = fake.count("/api/usage/stream");
    fake.change(TOKEN, at(91));
    await until(async () => (await page.locator("#summary").textContent()) === "91 messages this month", "live");
    equal(fake.count("/api/usage/stream"), before, "streams after a render with a new getToken");
    equal(await page.locator("usage-dashboard .word").textContent(), "Almost used up", "word");
    await axe(page, `React ${version}`);
    await page.getByRole("button", { name: "Hide usage" }).click();
    await until(() => fake.streams(TOKEN) === 0, "stream ends");
  });
}

test("React on a server: renders without a DOM", async () => {
  const app = example("react-server");
  const script = `import { createElement } from "react"; import { renderToString } from "react-dom/server"; import { UsageDashboard } from "@tollgate/usage-dashboard/react";
    process.stdout.write(renderToString(createElement(UsageDashboard, { token: "secret", endpoint: "https://llm.example.com", className: "usage" })));`;
  const html = execFileSync(process.execPath, ["--input-type=module", "-e", script], { cwd: app, encoding: "utf8" });
  equal(html, '<usage-dashboard class="usage"></usage-dashboard>', "markup");
});
