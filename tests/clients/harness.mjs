// What every Node case needs: tokens, the gateway's and the stub's numbers, and the list of cases. The Node twin of
// harness.py. Knows HTTP through fetch only, so that no SDK under test has a hand in the checks.

import { createHmac, randomUUID } from "node:crypto";

const env = (name) => {
  const value = process.env[name];
  if (!value) throw new Error(`\`${name}\` is not set`);
  return value.replace(/\/$/, "");
};
export const GATEWAY = env("TOLLGATE_URL");
const ADMIN = env("TOLLGATE_ADMIN");
const STUB = env("STUB_URL");
const SECRET = env("TOLLGATE_SECRET");

// The numbers of the shipped plan `free`.
export const TOTAL = 100;
export const PREMIUM = 20;
// Messages a minute of the plan `brisk`.
export const BRISK = 30;

// How long a number may take to reach `/metrics` or `/stub/stats` after the answer.
const PATIENCE_MS = 5_000;
// How long to watch for an attempt too many once the expected ones are there; SDKs come back after about half a second.
const QUIET_MS = 1_200;

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

/** A JWT signed with HS256 (RFC 7515). */
export function token(user, { ttl_s = 3600, plan = "free" } = {}) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const claims = { sub: user, plan, exp: Math.floor(Date.now() / 1000) + ttl_s };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

/** A token of a user nobody has seen yet. */
export const freshToken = (more) => token(`user-${randomUUID()}`, more);

async function get(url, key) {
  const answer = await fetch(url, { headers: key ? { authorization: `Bearer ${key}` } : {} });
  check(answer.ok, `GET ${url} answered ${answer.status}`);
  return answer.text();
}

export const usage = async (key) => JSON.parse(await get(`${GATEWAY}/api/usage`, key));
export const stub = async () => JSON.parse(await get(`${STUB}/stub/stats`));

/** Requests that ended so, over all label sets. */
export async function outcomes(outcome) {
  const sample = new RegExp(`^tollgate_requests_total\\{[^}]*outcome="${outcome}"[^}]*\\} ([0-9.e+]+)$`, "gm");
  const text = await get(`${ADMIN}/metrics`);
  return [...text.matchAll(sample)].reduce((sum, [, value]) => sum + Number(value), 0);
}

/** The first day of next month in UTC: when the shipped limits begin again. */
export function resetDate() {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1)).toISOString().slice(0, 10);
}

export function check(holds, message) {
  if (!holds) throw new Error(message);
}

export async function eventually(read, expected, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const seen = await read();
    if (seen === expected) return;
    check(Date.now() < deadline, `${what}: expected ${expected}, got ${seen}`);
    await sleep(20);
  }
}

/**
 * The error that `call` throws, after exactly `attempts` requests at the gateway that ended as `outcome`, none of which
 * reached the stub.
 */
export async function refused(outcome, attempts, call) {
  const before = await outcomes(outcome);
  const { requests } = await stub();
  let error, answer;
  try {
    answer = await call();
  } catch (thrown) {
    error = thrown;
  }
  check(error, `expected a refusal, got the answer ${JSON.stringify(answer)}`);
  const since = async () => (await outcomes(outcome)) - before;
  const what = `requests with outcome ${outcome}`;
  await eventually(since, attempts, what);
  await sleep(QUIET_MS);
  const seen = await since();
  check(seen === attempts, `${what}: expected ${attempts}, later ${seen}`);
  check((await stub()).requests === requests, "a refused request reached the upstream");
  return error;
}

/** Runs [name, function] pairs, prints a line each, returns how many failed. */
export async function run(cases) {
  let failed = 0;
  for (const [name, body] of cases) {
    const started = Date.now();
    try {
      await body();
      console.log(`ok   node ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
    } catch (error) {
      failed += 1;
      const frames = String(error.stack).split("\n").filter((line) => !/node_modules|at check /.test(line));
      const place = /[^/]*\.mjs:\d+/.exec(frames.join("\n"))?.[0] ?? "in the SDK";
      console.log(`FAIL node ${name}: ${error.name}: ${String(error.message).replaceAll(/\s+/g, " ").slice(0, 600)} (${place})`);
    }
  }
  return failed;
}
