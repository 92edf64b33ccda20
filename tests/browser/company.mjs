// A company's figures for the pictures of README: Larkspur Robotics, 180 people, a chat app since spring. The same at each
// run. Owns numbers only; the cases of pages.mjs have figures of their own, made to break things.

import { NOW } from "./fake.mjs";

const DAY_MS = 86_400_000;
/** Share of a Monday's messages on each day, from Sunday on. */
const WEEKDAYS = [0.11, 1, 1.08, 1.04, 0.97, 0.78, 0.14];
/** dollars a million tokens, in and out; share of the messages. */
const MODELS = [
  { model: "gpt-4o-mini", share: 0.46, input: 0.15, output: 0.6 },
  { model: "gemini-2.0-flash", share: 0.31, input: 0.1, output: 0.4 },
  { model: "claude-sonnet-4", share: 0.15, input: 3, output: 15, premium: true },
  { model: "gpt-4o", share: 0.05, input: 2.5, output: 10 },
  { model: "claude-3.5-haiku", share: 0.03, input: 0.8, output: 4, premium: true },
];
const TOKENS = { input: 1_140, output: 385 };

/** Between 0 and 1, the same for the same day and purpose. */
function noise(date, purpose) {
  let hash = 2_166_136_261;
  for (const letter of `${date}${purpose}`) hash = Math.imul(hash ^ letter.charCodeAt(0), 16_777_619);
  return ((hash ^ (hash >>> 15)) >>> 0) / 2 ** 32;
}

function dayOf(date) {
  const age = (Date.parse(NOW) - Date.parse(date)) / DAY_MS;
  const workday = WEEKDAYS[new Date(date).getUTCDay()];
  const messages = Math.round(Math.max(40, 980 - age * 2.4) * workday * (0.92 + 0.16 * noise(date, "messages")));
  const inputTokens = Math.round(messages * TOKENS.input * (0.94 + 0.12 * noise(date, "input")));
  const outputTokens = Math.round(messages * TOKENS.output * (0.94 + 0.12 * noise(date, "output")));
  const costUsd = MODELS.reduce((sum, one) => sum + (one.share * (inputTokens * one.input + outputTokens * one.output)) / 1e6, 0);
  const incident = date === "2026-11-05" ? 61 : 0;
  return {
    date, messages, inputTokens, outputTokens, costUsd,
    premiumMessages: Math.round(messages * (0.16 + 0.04 * noise(date, "premium"))),
    activeUsers: Math.round(128 * workday * (0.93 + 0.1 * noise(date, "users"))),
    refused: Math.round(messages * 0.011 * (0.4 + noise(date, "refused")) * (new Date(date).getUTCDate() > 14 ? 1.6 : 0.6)),
    calls: messages + Math.round(messages * 0.02) + incident,
    errors: Math.round(messages * 0.004 * noise(date, "errors")) + incident,
    p50Ms: Math.round(1_480 + 240 * noise(date, "p50")), p95Ms: Math.round(6_100 + 1_700 * noise(date, "p95") + incident * 60),
    firstByteP50Ms: Math.round(390 + 70 * noise(date, "first")), firstByteP95Ms: Math.round(1_150 + 420 * noise(date, "first95") + incident * 12),
  };
}

/** The answer of `/api/analytics`. */
export function companyAnalytics(count, until = NOW.slice(0, 10)) {
  const dates = Array.from({ length: count }, (_, at) => new Date(Date.parse(until) - (count - 1 - at) * DAY_MS).toISOString().slice(0, 10));
  const days = dates.map(dayOf);
  const sum = (name) => days.reduce((total, day) => total + day[name], 0);
  const [messages, inputTokens, outputTokens, calls, errors, refused] = ["messages", "inputTokens", "outputTokens", "calls", "errors", "refused"].map(sum);
  const part = (name, share, prices = MODELS.filter((one) => one.model === name)) => {
    const [input, output] = [Math.round(inputTokens * share), Math.round(outputTokens * share)];
    const costUsd = prices.length ? (input * prices[0].input + output * prices[0].output) / 1e6 : sum("costUsd") * share;
    return { messages: Math.round(messages * share), inputTokens: input, outputTokens: output, costUsd };
  };
  const active = (key, name, base) => [...new Set(dates.map(name))].map((period) => ({ [key]: period, activeUsers: Math.round(base * (0.95 + 0.08 * noise(period, key))) }));
  const monday = (date) => new Date(Date.parse(date) - ((new Date(date).getUTCDay() + 6) % 7) * DAY_MS).toISOString().slice(0, 10);
  const share = (name) => Math.round(messages * name);
  return {
    timezone: "UTC", days, weeks: active("week", monday, 158), months: active("month", (date) => date.slice(0, 7), 171),
    totals: { messages, premiumMessages: sum("premiumMessages"), activeUsers: 173, refused, inputTokens, outputTokens, costUsd: sum("costUsd"), calls, errors, p50Ms: 1_594, p95Ms: 7_120, firstByteP50Ms: 424, firstByteP95Ms: 1_388 },
    byModel: MODELS.map((one) => ({ model: one.model, ...part(one.model, one.share), errors: Math.round(errors * one.share) })),
    byPlan: [["team", 0.71], ["free", 0.18], ["pro", 0.11]].map(([plan, of]) => ({ plan, ...part("", of) })),
    topUsers: [["priya.raman@larkspur.example", 0.021, 0.4], ["tomas.novak@larkspur.example", 0.019, 0.22], ["mei.tanaka@larkspur.example", 0.016, 0.35], ["j.okafor@larkspur.example", 0.015, 0.12], ["lena.fischer@larkspur.example", 0.013, 0.2]]
      .map(([userId, of, premium]) => ({ userId, messages: share(of), premiumMessages: Math.round(share(of) * premium) })),
    topTeams: [["engineering", 0.38, 0.22], ["support", 0.21, 0.06], ["marketing", 0.12, 0.19], ["finance", 0.05, 0.1]].map(([teamId, of, premium]) => ({ teamId, messages: share(of), premiumMessages: Math.round(share(of) * premium) })),
    refusedByReason: [["refused_quota", 0.74], ["refused_rate", 0.15], ["refused_model", 0.11]].map(([reason, of]) => ({ reason, refused: Math.round(refused * of) })),
    byOutcome: [{ outcome: "ok", calls: calls - errors - Math.round(messages * 0.017) }, { outcome: "cancelled", calls: Math.round(messages * 0.014) }, { outcome: "upstream_error", calls: errors }, { outcome: "truncated", calls: Math.round(messages * 0.003) }],
  };
}

/** One person's months, newest first; the running one as `/api/usage` says. */
export const months = ({ totalMessages, premiumMessages }) => [["2026-11", totalMessages, premiumMessages], ["2026-10", 91, 18], ["2026-09", 84, 20], ["2026-08", 47, 9], ["2026-07", 69, 13], ["2026-06", 38, 6]].map(([month, messages, premiumMessages]) => ({ month, messages, premiumMessages }));
