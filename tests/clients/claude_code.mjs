// Claude Code itself, asked once and not interactively: it is answered and counted once, and when the quota is spent it says
// so after one attempt. Its home is a new folder, and everything but the gateway is out of its reach.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { GATEWAY, PREMIUM, check, freshToken, outcomes, resetDate, stub, usage } from "./harness.mjs";

/** The program; without it the cases are left out. */
const PROGRAM = process.env.TOLLGATE_CLAUDE_PROGRAM;
const MODEL = "claude-3-opus";

// It answers in seconds; what takes longer hangs or retries.
const LIMIT_MS = 60_000;

/** A proxy for all that is not the gateway: it lets nothing through, and its list says what was tried. */
async function dead_end() {
  const tried = [];
  const server = createServer((request, response) => {
    tried.push(request.url);
    response.writeHead(403).end();
  });
  server.on("connect", (request, socket) => {
    tried.push(request.url);
    socket.on("error", () => {}).end("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, tried, close: () => server.close() };
}

/** One question; the exit code, and all that was printed. */
async function ask(key, question) {
  const home = await mkdtemp(join(tmpdir(), "claude-code-"));
  const proxy = await dead_end();
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    CLAUDE_CONFIG_DIR: join(home, "config"),
    ANTHROPIC_BASE_URL: GATEWAY,
    ANTHROPIC_AUTH_TOKEN: key,
    ANTHROPIC_MODEL: MODEL,
    ANTHROPIC_DEFAULT_HAIKU_MODEL: MODEL,
    HTTP_PROXY: proxy.url,
    HTTPS_PROXY: proxy.url,
    NO_PROXY: "127.0.0.1,localhost",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_AUTOUPDATER: "1",
    DISABLE_ERROR_REPORTING: "1",
    DISABLE_TELEMETRY: "1",
  };
  try {
    const options = { cwd: home, env, stdio: ["ignore", "pipe", "pipe"], timeout: LIMIT_MS, killSignal: "SIGKILL" };
    const child = spawn(PROGRAM, ["-p", question], options);
    let printed = "";
    child.stdout.on("data", (bytes) => (printed += bytes));
    child.stderr.on("data", (bytes) => (printed += bytes));
    const [code, signal] = await once(child, "close");
    check(signal === null, `it was ended by ${signal} after ${LIMIT_MS / 1000} s: ${printed}`);
    check(proxy.tried.length === 0, `it tried to reach ${proxy.tried}`);
    return { code, printed };
  } finally {
    proxy.close();
    await rm(home, { recursive: true, force: true });
  }
}

async function is_answered_and_counted_once() {
  const key = freshToken();
  const before = (await stub()).requests;
  const { code, printed } = await ask(key, "hello there");
  check(code === 0 && printed.includes(`I am the stub playing \`${MODEL}\``), `${code}: ${printed}`);
  const { totalMessages, premiumMessages } = await usage(key);
  check(totalMessages === 1 && premiumMessages === 1, `one message, ${totalMessages} and ${premiumMessages} counted`);
  check((await stub()).requests === before + 1, "one request reached the upstream");
}

async function says_that_the_quota_is_spent_after_one_attempt() {
  const key = freshToken();
  const body = JSON.stringify({ model: MODEL, max_tokens: 9, messages: [{ role: "user", content: "hi" }] });
  const headers = { "x-api-key": key, "anthropic-version": "2023-06-01", "content-type": "application/json" };
  for (let at = 0; at < PREMIUM; at += 1) {
    const answer = await fetch(`${GATEWAY}/v1/messages`, { method: "POST", headers, body });
    check(answer.ok, `message ${at + 1} of ${PREMIUM}: ${answer.status}`);
    await answer.text();
  }
  const [refused, { requests }] = [await outcomes("refused_quota"), await stub()];
  const { code, printed } = await ask(key, "hello there");
  check(code !== 0, "it exits as if it were answered");
  const sentence = `Premium quota exhausted: ${PREMIUM} of ${PREMIUM} messages used this month. Resets ${resetDate()}`;
  check(printed.includes(sentence), `not our sentence: ${printed}`);
  const attempts = (await outcomes("refused_quota")) - refused;
  check(attempts === 1, `${attempts} attempts`);
  check((await stub()).requests === requests, "a refused request reached the upstream");
}

export const CASES = PROGRAM
  ? [is_answered_and_counted_once, says_that_the_quota_is_spent_after_one_attempt].map((body) => [`claude-code ${body.name}`, body])
  : [];
