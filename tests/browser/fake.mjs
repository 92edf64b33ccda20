// A small fake of the gateway: the pages with their CSP, and the API of contract.md §6 from figures that a case sets. Owns
// what the browser is answered; records every request. Must not know what the pages should make of it.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

/** The files under test; `run` copies this one elsewhere and names them. */
const DASHBOARD = join(process.env.ROOT_DIR ?? join(dirname(fileURLToPath(import.meta.url)), "../.."), "dashboard");

export const CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";
const TYPES = { html: "text/html; charset=utf-8", js: "text/javascript; charset=utf-8", css: "text/css; charset=utf-8" };
const PAGES = { "/dashboard": "dashboard.html", "/admin": "admin.html" };
for (const name of ["usage-dashboard.js", "dashboard.js", "dashboard.css", "admin.js", "admin.css"]) PAGES[`/${name}`] = name;

/** A page around the component that is not ours. */
const HOST = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Host</title><link rel="icon" href="data:,"><script type="module" src="/usage-dashboard.js"></script></head><body><main><h1>Host</h1></main></body></html>`;

/** The moment at which every page under test opens. */
export const NOW = "2026-11-18T10:00:00Z";
const MONTH_END = "2026-12-01T00:00:00.000Z";

export function limit(name, max, used, more = {}) {
  const body = { name, meter: "messages", models: name === "premium" ? ["@premium"] : [], scope: "user", per: "month", max, used, held: 0, resetsAt: MONTH_END, ...more };
  return { ...body, remaining: Math.max(0, body.max - body.used - body.held) };
}

export function usage(limits, more = {}) {
  const named = (name) => limits.find((one) => one.name === name);
  const isFree = (one) => !one || one.remaining > 0;
  return {
    userId: "user_123", plan: "free", totalMessages: named("messages")?.used ?? 0, premiumMessages: named("premium")?.used ?? 0,
    lastReset: "2026-11-01T00:00:00.000Z", resetsAt: MONTH_END, canSendMessage: isFree(named("messages")),
    canSendPremiumMessage: isFree(named("messages")) && isFree(named("premium")), limits,
    premiumModels: ["claude-3.5-sonnet", "claude-3-haiku", "claude-3-opus", "claude-sonnet-4", "claude-*"], ...more,
  };
}

const HISTORY = [["2026-11", 45, 12], ["2026-10", 88, 20], ["2026-09", 61, 9], ["2026-07", 100, 14], ["2026-06", 23, 0]].map(([month, messages, premiumMessages]) => ({ month, messages, premiumMessages }));

/** A year of days, the same at each run. On the day `quiet` no whole answer came. */
export function analytics(days, until = NOW.slice(0, 10), quiet = "") {
  const rows = Array.from({ length: days }, (_, index) => {
    const date = new Date(Date.parse(until) - (days - 1 - index) * 86_400_000).toISOString().slice(0, 10);
    const wave = 1 + Math.sin(Date.parse(date) / 86_400_000) * 0.35;
    const messages = Math.round(420 * wave);
    const latency = { p50Ms: Math.round(1_150 + 210 * Math.cos(index)), p95Ms: Math.round(7_400 * wave), firstByteP50Ms: Math.round(340 + 60 * Math.sin(index)), firstByteP95Ms: Math.round(1_250 * wave) };
    if (date === quiet) for (const name of Object.keys(latency)) latency[name] = null;
    return { date, ...latency, calls: messages + 30, errors: index % 7 === 3 ? 19 : index % 3, messages, premiumMessages: Math.round(messages * (0.18 + 0.08 * Math.cos(index))), activeUsers: Math.round(38 * wave), refused: index % 3 === 0 ? 7 : 2, inputTokens: messages * 820, outputTokens: messages * 310, costUsd: messages * 0.0041 };
  });
  const sum = (name) => rows.reduce((total, row) => total + row[name], 0);
  const part = (model, share) => ({ model, messages: Math.round(sum("messages") * share), inputTokens: Math.round(sum("inputTokens") * share), outputTokens: Math.round(sum("outputTokens") * share), costUsd: sum("costUsd") * share, errors: Math.round(sum("errors") * share) });
  const active = (key, name) => [...new Set(rows.map((row) => name(row.date)))].map((period, index) => ({ [key]: period, activeUsers: 60 + (index * 17) % 37 }));
  const monday = (date) => new Date(Date.parse(date) - ((new Date(date).getUTCDay() + 6) % 7) * 86_400_000).toISOString().slice(0, 10);
  return {
    timezone: "UTC", weeks: active("week", monday), months: active("month", (date) => date.slice(0, 7)),
    days: rows, totals: { messages: sum("messages"), premiumMessages: sum("premiumMessages"), activeUsers: 97, refused: sum("refused"), inputTokens: sum("inputTokens"), outputTokens: sum("outputTokens"), costUsd: sum("costUsd"), calls: sum("calls"), errors: sum("errors"), p50Ms: 1_164, p95Ms: 7_916, firstByteP50Ms: 338, firstByteP95Ms: 1_322 },
    byModel: [part("gemini-2.0-flash", 0.55), part("gpt-4o-mini", 0.25), part("claude-sonnet-4", 0.2)],
    byPlan: [{ plan: "free", messages: 1200, inputTokens: 9e5, outputTokens: 3e5, costUsd: 4.2 }, { plan: "pro", messages: 1700, inputTokens: 1.4e6, outputTokens: 5e5, costUsd: 8.1 }],
    topUsers: [{ userId: "anna@example.com", messages: 412, premiumMessages: 120 }, { userId: "<img src=x onerror=alert(1)>", messages: 300, premiumMessages: 4 }, { userId: "=HYPERLINK(\"x\")", messages: 120, premiumMessages: 0 }],
    refusedByReason: [{ reason: "refused_quota", refused: Math.round(sum("refused") * 0.7) }, { reason: "refused_model", refused: sum("refused") - Math.round(sum("refused") * 0.7) }],
    byOutcome: [{ outcome: "ok", calls: sum("calls") - sum("errors") - 40 }, { outcome: "upstream_error", calls: sum("errors") - 3 }, { outcome: "cancelled", calls: 40 }, { outcome: "truncated", calls: 3 }],
    topTeams: [{ teamId: "research", messages: 700, premiumMessages: 90 }],
  };
}

/** Equal figures have equal ids, as at the gateway. */
export const eventId = (body) => createHash("sha256").update(JSON.stringify(body)).digest("hex").slice(0, 16);

function explanation({ userId, plan, limits, canSendPremiumMessage: passes }, model) {
  const explained = limits.map((one) => ({ ...one, bucket: `${one.name}@2026-11`, epoch: 0, ledgerUsed: one.used }));
  const verdict = passes ? "" : "Premium quota exhausted: 20 of 20 messages used this month. Resets 2026-12-01T00:00:00Z. gemini-2.0-flash is still available.";
  return { userId, model, domain: `user:${userId}`, plan, groups: ["premium"], limits: explained, holds: [], passes, verdict };
}

export class Fake {
  requests = [];
  /** token → { usage, admin, stream: "on" | status, status, history } */
  users = new Map();
  audit = [{ at: "2026-11-17T09:12:00Z", actor: "root@example.com", action: "usage.reset", subject: "anna@example.com", reason: "Paid for more" }];
  /** Users, in the order of their ids. */
  names = ["<img src=x onerror=alert(1)>", "anna@example.com", ...Array.from({ length: 60 }, (_, index) => `user-${100 + index}`)];
  /** path → status: what this gateway does not have, or fails at. */
  broken = new Map();
  extra = new Map();
  /** A day without a whole answer. */
  quiet = "";
  /** Who says what the analytics are. */
  analytics = analytics;
  #streams = new Set();
  #held = new Map();

  async start() {
    this.server = createServer((request, answer) => {
      this.#serve(request, answer).catch((error) => {
        console.error(error);
        answer.destroy();
      });
    });
    await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
    this.origin = `http://127.0.0.1:${this.server.address().port}`;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }

  reset() {
    this.cut();
    this.requests.length = 0;
    this.users.clear();
    this.broken.clear();
    this.quiet = "";
    this.analytics = analytics;
    this.audit.splice(0, this.audit.length - 1);
    this.release();
  }

  user(token, body, more = {}) {
    this.users.set(token, { usage: body, stream: "on", history: HISTORY, ...more });
  }

  /** New figures; sent to those who follow the stream. */
  change(token, body) {
    this.users.get(token).usage = body;
    for (const stream of this.#streams) if (stream.token === token) stream.answer.write(this.#event(body));
  }

  /** Breaks all open streams. */
  cut() {
    for (const { answer } of this.#streams) answer.destroy();
    this.#streams.clear();
  }

  /** Answers to `path` wait until release(). */
  hold(path) {
    let open;
    const gate = new Promise((done) => { open = done; });
    this.#held.set(path, { gate, open });
  }

  release() {
    for (const { open } of this.#held.values()) open();
    this.#held.clear();
  }

  count = (path) => this.requests.filter((request) => request.path === path).length;
  streams = (token) => [...this.#streams].filter((stream) => stream.token === token).length;

  #event = (body) => `event: usage\nid: ${eventId(body)}\ndata: ${JSON.stringify(body)}\n\n`;

  async #serve(request, answer) {
    const url = new URL(request.url, this.origin);
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks).toString();
    this.requests.push({ method: request.method, path: url.pathname, url: request.url, headers: request.headers, body });
    // Pages of other origins may embed the module and read their own figures.
    answer.setHeader("access-control-allow-origin", "*");
    if (request.method === "OPTIONS") return answer.writeHead(204, { "access-control-allow-headers": "authorization, last-event-id" }).end();
    if (url.pathname.startsWith("/api/")) return this.#api(request, url, body, answer);
    return this.#page(url, answer);
  }

  async #page(url, answer) {
    const send = (type, content) => answer.writeHead(200, { "content-type": type, "content-security-policy": CSP, "cache-control": "no-store" }).end(content);
    if (url.pathname === "/host") return send(TYPES.html, HOST);
    for (const [prefix, folder] of this.extra) {
      if (!url.pathname.startsWith(prefix)) continue;
      const name = normalize(url.pathname.slice(prefix.length) || "index.html");
      return send(TYPES[name.split(".").at(-1)] ?? "application/octet-stream", await readFile(join(folder, name)));
    }
    const name = PAGES[url.pathname];
    if (!name) return answer.writeHead(404).end();
    return send(TYPES[name.split(".").at(-1)], await readFile(join(DASHBOARD, name)));
  }

  async #api(request, url, body, answer) {
    await this.#held.get(url.pathname)?.gate;
    const send = (status, content) => answer.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" }).end(JSON.stringify(content));
    const fail = (status, code, message) => send(status, { error: { code, message } });
    const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? "")?.[1];
    const user = this.users.get(token);
    if (!user) return fail(401, "invalid_api_key", "The credential is not known.");
    const status = this.broken.get(url.pathname);
    if (status === 0) return answer.destroy();
    if (status) return fail(status, "broken", status === 404 ? "There is no such page on this gateway." : "The ledger did not answer.");
    const asked = url.searchParams.get("userId");
    const needsAdmin = asked !== null || ["/api/analytics", "/api/explain", "/api/audit", "/api/users"].includes(url.pathname);
    if (needsAdmin && !user.admin) return fail(403, "forbidden", "Only an administrator may do this.");
    const of = asked === null ? user : { ...user, usage: { ...user.usage, userId: asked } };
    switch (`${request.method} ${url.pathname}`) {
      case "GET /api/usage": return send(200, of.usage);
      case "GET /api/usage/history": return send(200, { userId: of.usage.userId, items: of.history, next: null });
      case "GET /api/usage/stream": return this.#stream(token, user, request, answer, fail);
      case "GET /api/analytics": return send(200, this.analytics(Number(url.searchParams.get("days")), url.searchParams.get("until") ?? undefined, this.quiet));
      case "GET /api/explain": return send(200, explanation(of.usage, url.searchParams.get("model")));
      case "GET /api/users": return send(200, this.#users(url.searchParams));
      case "GET /api/audit": return send(200, this.#audited(url.searchParams));
      case "DELETE /api/usage":
        this.audit.unshift({ at: NOW, actor: user.usage.userId, action: "usage.reset", subject: asked, reason: JSON.parse(body).reason });
        return send(200, { userId: asked, resetAt: NOW, usage: of.usage });
      default: return fail(404, "not_found", "There is no such page on this gateway.");
    }
  }

  /** As the gateway: newest first, 50 to a page, `next` is the last record's number. */
  #audited(query) {
    const PAGE = 50;
    const is = (row, name) => (query.get(name) ?? row[name]) === row[name];
    const all = this.audit.map((row, index) => ({ seq: this.audit.length - index, ...row }));
    const found = all.filter((row) => is(row, "actor") && is(row, "action") && is(row, "subject") && row.seq < Number(query.get("cursor") ?? Infinity));
    return { items: found.slice(0, PAGE), next: found.length > PAGE ? String(found[PAGE - 1].seq) : null };
  }

  #users(query) {
    const PAGE = 50;
    const found = this.names.filter((name) => name.startsWith(query.get("prefix") ?? "") && name > (query.get("cursor") ?? ""));
    const items = found.slice(0, PAGE).map((userId) => ({ userId, lastDay: NOW.slice(0, 10) }));
    return { items, next: found.length > PAGE ? items.at(-1).userId : null };
  }

  #stream(token, user, request, answer, fail) {
    if (user.stream !== "on") return fail(user.stream, "not_found", "There is no such page on this gateway.");
    answer.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
    answer.write(":\n\n");
    // Who has seen these figures is sent nothing until they change.
    if (request.headers["last-event-id"] !== eventId(user.usage)) answer.write(this.#event(user.usage));
    const stream = { token, answer };
    this.#streams.add(stream);
    answer.on("close", () => this.#streams.delete(stream));
  }
}
