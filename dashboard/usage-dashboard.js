// <usage-dashboard>: a user's limits, what is spent and until when, live. One ES module: no build step, no dependency, no
// other origin. Owns how usage is fetched and shown. Must not know: the page around it, how tokens are made, quota policy.
//
// Order: bounds, words, styles, pure functions, the wire, the parts of the picture, the element.
// All text from the gateway goes to the page as text nodes, never as markup. The token goes into one header, never into a
// URL, an attribute that we set, an event or the console. Styles are adopted sheets, so a strict CSP needs no exception.

/** A bar turns at these shares of its limit. */
const WARN_AT = 0.75;
const HIGH_AT = 0.9;

/** Between two polls, in milliseconds; doubled after each failure up to the second. */
const POLL_MS = 30_000;
const POLL_MAX_MS = 300_000;
/** Before a broken stream is opened again, in milliseconds; doubled up to the second. */
const STREAM_RETRY_MS = 1_000;
const STREAM_RETRY_MAX_MS = 60_000;
/** A stream that lived this long was sound: its next retry is quick again. */
const STREAM_SOUND_MS = 10_000;
/** A stream without a byte (the gateway sends heartbeats) for this long is dead, whatever TCP says. */
const STREAM_SILENCE_MS = 90_000;
/** A line or event of a stream longer than this is not ours; it bounds memory. */
const EVENT_MAX_CHARS = 1 << 20;
const REQUEST_TIMEOUT_MS = 15_000;

const HISTORY_MONTHS = 6;
/** The history is read again after a change, but not more often than this, in milliseconds. */
const HISTORY_MIN_MS = 60_000;
/** Relative times are redrawn this often; also the longest timer, since one of more than 24.8 days fires at once. */
const TICK_MS = 30_000;
/** After a limit's reset the figures are asked for again, this much later, so that both clocks agree that it is past. */
const AFTER_RESET_MS = 1_000;
/** A forecast from less than this share of a period would be noise. */
const FORECAST_MIN_SHARE = 0.03;

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

// ---------------------------------------------------------------- words

/** Every sentence. A key that a language lacks is taken from English. */
const STRINGS = {
  en: {
    title: "Usage",
    plan: (plan) => `Plan: ${plan}`,
    user: (user) => `User: ${user}`,
    refresh: "Refresh",
    refreshing: "Refreshing…",
    live: "Live",
    polling: "Updates every 30 seconds",
    offline: "Not connected, trying again",
    updated: (time) => `Updated ${time}`,
    loading: "Loading usage…",
    signedOut: "Sign in to see your usage.",
    signInExpired: "Your sign-in is not valid or has expired. Sign in again to see your usage.",
    failed: "Usage could not be loaded.",
    stale: (time) => `Usage could not be loaded. The figures are from ${time}.`,
    unreachable: "The gateway cannot be reached.",
    unexpected: "The gateway's answer could not be understood.",
    status: (status) => `The gateway answered with status ${status}.`,
    retry: "Try again",
    degraded: "The counters cannot be reached at the moment. Figures may be late.",
    empty: "No limit applies to you.",
    emptyCount: (count) => `Messages this month: ${count}.`,
    limits: "Limits",
    names: { messages: "Messages", premium: "Premium messages", pool: "Team pool", anonymous: "Messages", burst: "Short bursts", parallel: "Requests at once" },
    meters: { messages: "messages", background: "background calls", input_tokens: "input tokens", output_tokens: "output tokens", tokens: "tokens", cost_usd: "cost", in_flight: "requests at once" },
    per: { second: "per second", minute: "per minute", hour: "per hour", day: "per day", week: "per week", month: "per month", year: "per year" },
    shared: "shared by your team",
    perKey: "for this key",
    onlyFor: (models) => `only ${models}`,
    of: (used, max) => `${used} of ${max}`,
    levels: { ok: "Within the limit", warn: "Running low", high: "Almost used up", spent: "Used up", busy: "All in use", none: "Not included" },
    percentUsed: (percent) => `${percent} used`,
    left: (count) => `${count} left`,
    held: (count) => `${count} in progress`,
    resets: (when) => `Resets ${when}`,
    valueText: (used, max, level) => `${used} of ${max} used. ${level}.`,
    canSend: "You can send messages.",
    canSendNotPremium: "You can send messages, but not to premium models.",
    cannotSend: "You cannot send messages at the moment.",
    spent: (name, used, max) => `${name} used up: ${used} of ${max}.`,
    again: (when, relative) => `Available again ${when} (${relative}).`,
    busy: (name, held) => `${name}: all that is left is taken by requests in progress (${held}). Try again when one has finished.`,
    running: (count, max) => `${count} of ${max} requests are running at once. Try again when one has finished.`,
    notIncluded: (name) => `${name}: not included in your plan.`,
    othersAnswer: "Other models still answer.",
    premiumModels: "Premium models",
    premiumYes: "Available",
    premiumNo: "Not available now",
    paceOver: (date) => `At this pace used up ${date}.`,
    paceUnder: (count, max) => `At this pace about ${count} of ${max} by the reset.`,
    on: (date) => `on ${date}`,
    history: "Last six months",
    historyNone: "No messages in the last six months.",
    historyFailed: "The last months could not be loaded.",
    month: "Month",
    otherMessages: "Other",
    premiumMessages: "Premium",
    allMessages: "All messages",
    changed: (name, level, value) => `${name}: ${level}. ${value}.`,
    refreshed: "Usage is up to date.",
  },
  de: {
    title: "Nutzung",
    plan: (plan) => `Tarif: ${plan}`,
    user: (user) => `Konto: ${user}`,
    refresh: "Aktualisieren",
    refreshing: "Wird aktualisiert …",
    live: "Live",
    polling: "Aktualisiert alle 30 Sekunden",
    offline: "Keine Verbindung, neuer Versuch folgt",
    updated: (time) => `Stand ${time}`,
    loading: "Nutzung wird geladen …",
    signedOut: "Bitte anmelden, um die Nutzung zu sehen.",
    signInExpired: "Die Anmeldung ist ungültig oder abgelaufen. Bitte neu anmelden, um die Nutzung zu sehen.",
    failed: "Die Nutzung konnte nicht geladen werden.",
    stale: (time) => `Die Nutzung konnte nicht geladen werden. Die Zahlen sind von ${time}.`,
    unreachable: "Das Gateway ist nicht erreichbar.",
    unexpected: "Die Antwort des Gateways war nicht zu verstehen.",
    status: (status) => `Das Gateway antwortete mit Status ${status}.`,
    retry: "Erneut versuchen",
    degraded: "Die Zähler sind gerade nicht erreichbar. Die Zahlen können veraltet sein.",
    empty: "Für dieses Konto gilt kein Limit.",
    emptyCount: (count) => `Nachrichten in diesem Monat: ${count}.`,
    limits: "Limits",
    names: { messages: "Nachrichten", premium: "Premium-Nachrichten", pool: "Team-Kontingent", anonymous: "Nachrichten", burst: "Kurze Spitzen", parallel: "Gleichzeitige Anfragen" },
    meters: { messages: "Nachrichten", background: "Aufrufe im Hintergrund", input_tokens: "Eingabe-Tokens", output_tokens: "Ausgabe-Tokens", tokens: "Tokens", cost_usd: "Kosten", in_flight: "gleichzeitige Anfragen" },
    per: { second: "pro Sekunde", minute: "pro Minute", hour: "pro Stunde", day: "pro Tag", week: "pro Woche", month: "pro Monat", year: "pro Jahr" },
    shared: "gemeinsam mit dem Team",
    perKey: "für diesen Schlüssel",
    onlyFor: (models) => `nur ${models}`,
    of: (used, max) => `${used} von ${max}`,
    levels: { ok: "Im Rahmen", warn: "Wird knapp", high: "Fast aufgebraucht", spent: "Aufgebraucht", busy: "Alle in Gebrauch", none: "Nicht enthalten" },
    percentUsed: (percent) => `${percent} verbraucht`,
    left: (count) => `${count} übrig`,
    held: (count) => `${count} laufend`,
    resets: (when) => `Neu ab ${when}`,
    valueText: (used, max, level) => `${used} von ${max} verbraucht. ${level}.`,
    canSend: "Nachrichten können gesendet werden.",
    canSendNotPremium: "Nachrichten können gesendet werden, aber nicht an Premium-Modelle.",
    cannotSend: "Zurzeit können keine Nachrichten gesendet werden.",
    spent: (name, used, max) => `${name} aufgebraucht: ${used} von ${max}.`,
    again: (when, relative) => `Wieder verfügbar ${when} (${relative}).`,
    busy: (name, held) => `${name}: Der Rest ist durch laufende Anfragen belegt (${held}). Bitte erneut versuchen, sobald eine fertig ist.`,
    running: (count, max) => `${count} von ${max} gleichzeitigen Anfragen laufen. Bitte erneut versuchen, sobald eine fertig ist.`,
    notIncluded: (name) => `${name}: im Tarif nicht enthalten.`,
    othersAnswer: "Andere Modelle antworten weiterhin.",
    premiumModels: "Premium-Modelle",
    premiumYes: "Verfügbar",
    premiumNo: "Zurzeit nicht verfügbar",
    paceOver: (date) => `Bei diesem Tempo aufgebraucht ${date}.`,
    paceUnder: (count, max) => `Bei diesem Tempo etwa ${count} von ${max} bis zum Neubeginn.`,
    on: (date) => `am ${date}`,
    history: "Letzte sechs Monate",
    historyNone: "Keine Nachrichten in den letzten sechs Monaten.",
    historyFailed: "Die letzten Monate konnten nicht geladen werden.",
    month: "Monat",
    otherMessages: "Andere",
    premiumMessages: "Premium",
    allMessages: "Alle Nachrichten",
    changed: (name, level, value) => `${name}: ${level}. ${value}.`,
    refreshed: "Die Nutzung ist auf dem neuesten Stand.",
  },
};

/** The page's language in the reader's regional form: `en` on the page and `en-GB` in the browser is `en-GB`. */
function readersLocale(pageLanguage) {
  if (pageLanguage === "") return navigator.language;
  const regional = navigator.languages.find((tag) => tag.toLowerCase().startsWith(`${pageLanguage.toLowerCase()}-`));
  return regional ?? pageLanguage;
}

/** The words and formats of one locale. An unknown or malformed tag falls back to English. */
function phrasebook(tag) {
  let locale = "en";
  try {
    locale = Intl.getCanonicalLocales(tag)[0] ?? "en";
  } catch {
    // A malformed tag comes from the host page's markup; English is a fair answer to it.
  }
  const language = locale.split("-")[0];
  const words = { ...STRINGS.en, ...STRINGS[language] };
  // Formats follow the words: a French date in an English sentence would help nobody.
  const format = STRINGS[language] ? locale : "en";
  const dates = (options) => new Intl.DateTimeFormat(format, options);
  return {
    ...words,
    language: STRINGS[language] ? language : "en",
    number: new Intl.NumberFormat(format),
    money: new Intl.NumberFormat(format, { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", maximumFractionDigits: 4 }),
    percent: new Intl.NumberFormat(format, { style: "percent" }),
    relative: new Intl.RelativeTimeFormat(format, { numeric: "auto" }),
    moment: dates({ weekday: "short", day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" }),
    momentShort: dates({ day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", timeZoneName: "short" }),
    day: dates({ day: "numeric", month: "long" }),
    clock: dates({ hour: "2-digit", minute: "2-digit" }),
    clockSeconds: dates({ hour: "2-digit", minute: "2-digit", second: "2-digit" }),
    monthShort: dates({ month: "short", timeZone: "UTC" }),
    monthLong: dates({ month: "long", year: "numeric", timeZone: "UTC" }),
  };
}

// ---------------------------------------------------------------- styles

/** Each colour can be set from outside as `--usage-NAME`. Text is ≥ 4.5:1 on `bg`, bars ≥ 3:1 on `track`. */
const COLOURS = {
  light: { bg: "#ffffff", text: "#1b1f24", muted: "#57606a", border: "#d5dbe1", track: "#e6eaee", accent: "#2257c5", ok: "#1a7f4b", warn: "#a65600", high: "#c01f2b", premium: "#8338b8", soft: "#f5f7f9" },
  dark: { bg: "#14181d", text: "#e8edf2", muted: "#a3aeb9", border: "#333b44", track: "#2b323a", accent: "#7aa7ff", ok: "#46bf79", warn: "#e6a23c", high: "#ff7b72", premium: "#c792ea", soft: "#1c2228" },
};
const colours = (theme) =>
  Object.entries(COLOURS[theme]).map(([name, value]) => `--_${name}: var(--usage-${name}, ${value});`).join(" ");

const CSS = `
:host { display: block; color-scheme: light; ${colours("light")} }
@media (prefers-color-scheme: dark) { :host(:not([theme="light"])) { color-scheme: dark; ${colours("dark")} } }
:host([theme="dark"]) { color-scheme: dark; ${colours("dark")} }
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
.root { background: var(--_bg); color: var(--_text); border: 1px solid var(--_border); border-radius: var(--usage-radius, 12px);
  padding: var(--usage-padding, clamp(12px, 4vw, 24px)); font: 400 1rem/1.5 var(--usage-font, system-ui, sans-serif); overflow-wrap: anywhere; }
h2, h3, p, ul, figure { margin: 0; padding: 0; }
h2 { font-size: 1.375rem; line-height: 1.25; font-weight: 650; }
h3 { font-size: 1rem; font-weight: 650; }
ul { list-style: none; }
.muted { color: var(--_muted); font-size: .875rem; }
.head { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: flex-start; justify-content: space-between; }
.who { display: flex; flex-wrap: wrap; gap: 0 16px; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 12px; }
.live { display: inline-flex; align-items: center; gap: 6px; }
.dot { inline-size: 8px; block-size: 8px; border-radius: 50%; background: var(--_muted); }
.live[data-live="stream"] .dot { background: var(--_ok); }
.live[data-live="off"] .dot { background: var(--_high); }
button { font: inherit; font-size: .875rem; font-weight: 600; color: var(--_accent); background: transparent; border: 1px solid currentColor;
  border-radius: 8px; min-block-size: 36px; padding: 4px 14px; cursor: pointer; }
button:hover { background: var(--_soft); }
button[aria-disabled="true"] { cursor: progress; color: var(--_muted); }
:focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px; }
.notice { margin-block-start: 16px; padding: 12px 16px; border: 1px solid var(--_border); border-inline-start: 4px solid var(--_muted); border-radius: 8px; background: var(--_soft); }
.notice[data-kind="error"] { border-inline-start-color: var(--_high); }
.notice .row { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; justify-content: space-between; }
.status { margin-block-start: 16px; padding: 12px 16px; border: 1px solid var(--_border); border-inline-start: 4px solid var(--_ok); border-radius: 8px; background: var(--_soft); }
.status[data-kind="part"] { border-inline-start-color: var(--_warn); }
.status[data-kind="none"] { border-inline-start-color: var(--_high); }
.status strong { font-weight: 650; }
.status li { margin-block-start: 4px; }
.block { margin-block-start: 24px; }
.block > h3 { margin-block-end: 8px; }
.limits { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(min(100%, 19rem), 1fr)); }
.limit { border: 1px solid var(--_border); border-radius: 10px; padding: 14px 16px; --_level: var(--_ok); }
.limit[data-level="warn"] { --_level: var(--_warn); }
.limit:is([data-level="high"], [data-level="spent"], [data-level="busy"]) { --_level: var(--_high); }
.limit[data-level="none"] { --_level: var(--_muted); }
.line { display: flex; flex-wrap: wrap; gap: 0 12px; justify-content: space-between; align-items: baseline; }
.value { font-variant-numeric: tabular-nums; font-weight: 650; }
.bar { display: flex; block-size: 12px; margin-block: 8px; border-radius: 6px; overflow: hidden; background: var(--_track); }
.fill { background: var(--_level); inline-size: 0; transition: inline-size .4s ease, background-color .4s ease; }
.hold { inline-size: 0; transition: inline-size .4s ease; background: repeating-linear-gradient(135deg, var(--_level) 0 3px, var(--_track) 3px 6px); }
.word { color: var(--_level); font-weight: 650; font-size: .875rem; }
.chips { display: flex; flex-wrap: wrap; gap: 6px; margin-block-start: 6px; }
.chip { border: 1px solid var(--_border); border-radius: 999px; padding: 1px 10px; font: .8125rem/1.6 var(--usage-font-mono, ui-monospace, monospace); }
.chart { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(0, 1fr); gap: clamp(4px, 2vw, 14px); align-items: end; max-inline-size: 40rem; }
.month { text-align: center; font-size: .8125rem; line-height: 1.4; }
.month .count { font-variant-numeric: tabular-nums; }
.stack { display: flex; flex-direction: column; justify-content: flex-end; block-size: 88px; border-block-end: 1px solid var(--_muted); }
.stack div { inline-size: min(100%, 44px); margin-inline: auto; transition: block-size .4s ease; }
.stack .other { background: var(--_accent); }
.stack .premium { background: var(--_premium); border-block-end: 1px solid var(--_bg); }
.stack div:first-child { border-start-start-radius: 4px; border-start-end-radius: 4px; }
.legend { display: flex; flex-wrap: wrap; gap: 0 16px; margin-block-end: 6px; }
.legend span::before { content: ""; display: inline-block; inline-size: 10px; block-size: 10px; margin-inline-end: 6px; border-radius: 2px; background: var(--_accent); }
.legend .premium::before { background: var(--_premium); }
.unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.holder { position: relative; }
.wait { display: grid; gap: 12px; margin-block-start: 12px; }
.wait div { block-size: 14px; border-radius: 7px; background: var(--_track); animation: wait 1.4s ease-in-out infinite alternate; }
.wait div:nth-child(2) { inline-size: 70%; }
@keyframes wait { to { opacity: .45; } }
[hidden] { display: none !important; }
@media (prefers-reduced-motion: reduce) { *, *::before { animation: none !important; transition: none !important; } }
@media (forced-colors: active) { .bar, .stack { border: 1px solid CanvasText; } .fill, .stack div { forced-color-adjust: none; background: Highlight; } .hold { forced-color-adjust: none; background: GrayText; } }
`;

/** One sheet for all elements of a document; made late, so that the module can be imported where there is no DOM. */
let sharedSheet;
function sheet() {
  if (!sharedSheet) {
    sharedSheet = new CSSStyleSheet();
    sharedSheet.replaceSync(CSS);
  }
  return sharedSheet;
}

// ---------------------------------------------------------------- pure functions

/** A finite number, or null: the gateway may leave figures out (a team's, for its members). */
const figure = (value) => (typeof value === "number" && Number.isFinite(value) ? value : null);

/** A limit with what follows from its figures: `share` of 1 by which its bar is coloured, and its `level`. */
function standing(limit) {
  const max = figure(limit.max);
  const held = figure(limit.held) ?? 0;
  const inFlight = limit.meter === "in_flight";
  // What is open now is all that a limit on open requests counts.
  const used = inFlight && figure(limit.used) !== null ? limit.used + held : figure(limit.used);
  const taken = inFlight ? used : used === null ? null : used + held;
  const remaining = figure(limit.remaining) ?? (max === null || taken === null ? null : max - taken);
  const share = max > 0 && used !== null ? used / max : 0;
  let level = "ok";
  if (max === 0) level = "none";
  else if (max !== null && used !== null && used >= max) level = inFlight ? "busy" : "spent";
  else if (remaining !== null && remaining <= 0) level = "busy";
  else if (share >= HIGH_AT) level = "high";
  else if (share >= WARN_AT) level = "warn";
  return { ...limit, max, used, held: inFlight ? 0 : held, remaining, share, level, resetsAtMs: moment(limit.resetsAt) };
}

const BLOCKING = new Set(["spent", "busy", "none"]);

/** Milliseconds since 1970 of an RFC 3339 text, or null. */
function moment(text) {
  const at = typeof text === "string" ? Date.parse(text) : NaN;
  return Number.isNaN(at) ? null : at;
}

/** Where the calendar period that ends at `endMs` began; null for windows too short to forecast. */
function periodStart(per, endMs) {
  if (per === "day") return endMs - DAY_MS;
  if (per === "week") return endMs - 7 * DAY_MS;
  // The gateway's zone is unknown here. 14 hours later it is the first day of the new period in every zone's calendar.
  const inside = new Date(endMs + 14 * HOUR_MS);
  const [year, month] = [inside.getUTCFullYear(), inside.getUTCMonth()];
  if (per === "month") return endMs - (Date.UTC(year, month, 1) - Date.UTC(year, month - 1, 1));
  if (per === "year") return endMs - (Date.UTC(year, month, 1) - Date.UTC(year - 1, month, 1));
  return null;
}

/** What the pace so far leads to: `{ atMs }` when the limit will be spent before its reset, `{ total }` when not, or null. */
function forecast(limit, lastResetMs, nowMs) {
  if (limit.resetsAtMs === null || !limit.used || !limit.max || BLOCKING.has(limit.level)) return null;
  let startMs = periodStart(limit.per, limit.resetsAtMs);
  if (startMs === null) return null;
  // An admin's reset began the counting anew. A year's limit cannot tell it from the month's start, so it is not used there.
  if (limit.per !== "year" && lastResetMs !== null) startMs = Math.max(startMs, lastResetMs);
  const elapsed = nowMs - startMs;
  const length = limit.resetsAtMs - startMs;
  if (elapsed < length * FORECAST_MIN_SHARE || elapsed >= length) return null;
  const total = (limit.used / elapsed) * length;
  if (total <= limit.max) return { total };
  return { atMs: nowMs + ((limit.max - limit.used) * elapsed) / limit.used };
}

/** "in 7 days": the largest unit of which there is at least one and a half. */
function relative(words, deltaMs) {
  for (const [unit, size] of [["day", DAY_MS], ["hour", HOUR_MS], ["minute", 60_000]]) {
    if (Math.abs(deltaMs) >= 1.5 * size) return words.relative.format(Math.round(deltaMs / size), unit);
  }
  return words.relative.format(Math.max(0, Math.round(deltaMs / 1_000)), "second");
}

/** The last months as "YYYY-MM", oldest first, none left out, whatever the gateway has rows for. */
function lastMonths(items, nowMs) {
  const known = new Map(items.map((item) => [String(item.month), item]));
  // The gateway's zone may be a month ahead of UTC for some hours.
  const newest = [new Date(nowMs).toISOString().slice(0, 7), ...known.keys()].filter((m) => /^\d{4}-\d{2}$/.test(m)).sort().at(-1);
  const [year, month] = newest.split("-").map(Number);
  return Array.from({ length: HISTORY_MONTHS }, (_, index) => {
    const first = Date.UTC(year, month - HISTORY_MONTHS + index, 1);
    const item = known.get(new Date(first).toISOString().slice(0, 7));
    const messages = figure(item?.messages) ?? 0;
    const premium = Math.min(figure(item?.premiumMessages) ?? 0, messages);
    return { first, messages, premium, other: messages - premium };
  });
}

// ---------------------------------------------------------------- the wire

/** A failure that the user is told about; `status` is the HTTP status, or null when there was no answer. */
class LoadError extends Error {
  constructor(kind, status = null, message = "") {
    super(message);
    this.kind = kind;
    this.status = status;
  }
}

/** Reads `text/event-stream` (WHATWG HTML, server-sent events). Feed it text; it calls back for each event with data. */
class EventParser {
  #rest = "";
  #data = [];
  #size = 0;
  #id = null;
  #afterCr = false;

  constructor(onEvent) {
    this.onEvent = onEvent;
  }

  feed(text) {
    if (this.#afterCr && text.startsWith("\n")) text = text.slice(1);
    if (text !== "") this.#afterCr = text.endsWith("\r");
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
    if (this.#rest.length + this.#size > EVENT_MAX_CHARS) throw new LoadError("unexpected");
  }

  #line(line) {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return; // A comment: the gateway's heartbeat.
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") {
      this.#data.push(value);
      this.#size += value.length;
    } else if (field === "id" && !value.includes("\0")) this.#id = value;
  }

  #dispatch() {
    const data = this.#data.join("\n");
    [this.#data, this.#size] = [[], 0];
    if (data !== "") this.onEvent(data, this.#id);
  }
}

/** Resolves after `ms`, or at once when the signal ends; never rejects. */
function sleep(ms, signal) {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

/** Resolves once the page is seen: hidden pages ask for nothing and hold no connection (browsers allow six a host). */
function seen(signal) {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
    look();
  });
}

/** A GET with the caller's token. Throws LoadError for every failure but an abort by `signal`. */
async function get(url, token, signal, headers = {}) {
  let answer;
  try {
    answer = await fetch(url, {
      headers: { ...headers, Authorization: `Bearer ${token}` },
      cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer", signal,
    });
  } catch (error) {
    if (signal.reason?.name === "AbortError") throw error;
    throw new LoadError("unreachable");
  }
  if (answer.ok) return answer;
  let message = "";
  try {
    message = String((await answer.json())?.error?.message ?? "");
  } catch {
    // Not every proxy on the way speaks JSON; the status says enough.
  }
  throw new LoadError(answer.status === 401 ? "signed-out" : "status", answer.status, message);
}

async function getJson(url, token, signal, looksRight) {
  const answer = await get(url, token, AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]));
  let body = null;
  try {
    body = await answer.json();
  } catch (error) {
    if (signal.aborted) throw error;
  }
  if (!looksRight(body)) throw new LoadError("unexpected");
  return body;
}

const looksLikeUsage = (body) => typeof body === "object" && body !== null && Array.isArray(body.limits);
const looksLikeHistory = (body) => Array.isArray(body?.items);

// ---------------------------------------------------------------- the parts of the picture

/** An element. `text` becomes a text node; everything else in `attributes` is an attribute. */
function make(tag, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
}

/** Sets text only when it differs, so that a reader's cursor and selection stay where they are. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const amount = (words, limit, value) =>
  value === null ? "–" : (limit.meter === "cost_usd" ? words.money : words.number).format(value);
const limitName = (words, limit) => words.names[limit.name] ?? String(limit.name);

/** "Sat, 1 December 2026 at 01:00 CET" in a <time>, in the reader's zone. */
function time(words, atMs, format = words.moment) {
  return make("time", { datetime: new Date(atMs).toISOString(), text: format.format(atMs) });
}

/** What a limit counts, in small print under its name. */
function smallPrint(words, limit) {
  const parts = [];
  // A name that says what is counted needs no second word for it.
  if (limit.meter !== "messages" && !words.names[limit.name]) parts.push(words.meters[limit.meter] ?? String(limit.meter));
  if (limit.per) parts.push(words.per[limit.per] ?? String(limit.per));
  if (limit.scope === "team") parts.push(words.shared);
  if (limit.scope === "key") parts.push(words.perKey);
  const models = (Array.isArray(limit.models) ? limit.models : []).map(String);
  if (models.length > 0 && !models.includes("*") && limit.name !== "premium") parts.push(words.onlyFor(models.join(", ")));
  return parts.join(" · ");
}

/** One limit: kept while the limit stands, so that its bar moves instead of being replaced. */
class LimitCard {
  constructor(id) {
    this.name = make("h3", { id, part: "limit-name" });
    this.value = make("span", { class: "value", part: "limit-value" });
    this.print = make("p", { class: "muted" });
    this.fill = make("div", { class: "fill", part: "bar-fill" });
    this.hold = make("div", { class: "hold", part: "bar-held" });
    this.bar = make("div", { class: "bar", part: "bar", role: "progressbar", "aria-labelledby": id, "aria-valuemin": "0", "aria-valuemax": "100" }, this.fill, this.hold);
    this.word = make("span", { class: "word", part: "limit-level" });
    this.rest = make("span", { class: "muted" });
    this.reset = make("p", { class: "muted", part: "limit-reset" });
    this.pace = make("p", { class: "muted", part: "limit-forecast" });
    this.element = make("li", { class: "limit", part: "limit" },
      make("div", { class: "line" }, this.name, this.value), this.print, this.bar,
      make("div", { class: "line" }, this.word, this.rest), this.reset, this.pace);
  }

  show(words, limit, lastResetMs, nowMs) {
    const [used, max] = [amount(words, limit, limit.used), amount(words, limit, limit.max)];
    const level = words.levels[limit.level];
    // Rounded down: 99.6 % is not yet all of it.
    const percent = Math.min(100, Math.floor(limit.share * 100 + 1e-9));
    this.element.dataset.level = limit.level;
    say(this.name, limitName(words, limit));
    say(this.value, words.of(used, max));
    say(this.print, smallPrint(words, limit));
    this.bar.setAttribute("aria-valuenow", String(percent));
    this.bar.setAttribute("aria-valuetext", words.valueText(used, max, level));
    const width = Math.min(100, limit.share * 100);
    this.fill.style.inlineSize = `${width}%`;
    this.hold.style.inlineSize = limit.max > 0 ? `${Math.min(100 - width, (limit.held / limit.max) * 100)}%` : "0";
    say(this.word, level);
    const rest = [];
    if (limit.max > 0) rest.push(words.percentUsed(words.percent.format(percent / 100)));
    if (limit.remaining !== null) rest.push(words.left(amount(words, limit, Math.max(0, limit.remaining))));
    if (limit.held > 0) rest.push(words.held(amount(words, limit, limit.held)));
    say(this.rest, rest.join(" · "));
    this.#times(words, limit, lastResetMs, nowMs);
  }

  #times(words, limit, lastResetMs, nowMs) {
    this.reset.hidden = limit.resetsAtMs === null || limit.max === 0;
    if (!this.reset.hidden) {
      const when = `${words.momentShort.format(limit.resetsAtMs)} (${relative(words, limit.resetsAtMs - nowMs).replaceAll(" ", "\u00a0")})`;
      say(this.reset, words.resets(when));
    }
    const pace = forecast(limit, lastResetMs, nowMs);
    this.pace.hidden = pace === null;
    if (pace?.atMs) {
      const format = limit.per === "day" ? words.clock.format(pace.atMs) : words.on(words.day.format(pace.atMs));
      say(this.pace, words.paceOver(format));
    } else if (pace) {
      say(this.pace, words.paceUnder(amount(words, limit, limit.meter === "cost_usd" ? pace.total : Math.round(pace.total)), amount(words, limit, limit.max)));
    }
  }
}

/** The sentences on what is blocked and until when. */
function statusBox(words, usage, limits, nowMs) {
  const blocked = limits.filter((limit) => BLOCKING.has(limit.level));
  const kind = usage.canSendMessage === false ? "none" : usage.canSendPremiumMessage === false || blocked.length > 0 ? "part" : "all";
  const lead = kind === "none" ? words.cannotSend : usage.canSendPremiumMessage === false ? words.canSendNotPremium : words.canSend;
  const list = make("ul");
  for (const limit of blocked) list.append(make("li", {}, ...blockedSentence(words, usage, limit, nowMs)));
  const box = make("div", { class: "status", part: "status", "data-kind": kind }, make("strong", { text: lead }));
  if (blocked.length > 0) box.append(list);
  return box;
}

function blockedSentence(words, usage, limit, nowMs) {
  const name = limitName(words, limit);
  const number = (value) => amount(words, limit, value);
  if (limit.level === "none") return [words.notIncluded(name)];
  if (limit.meter === "in_flight") return [words.running(number(limit.used), number(limit.max))];
  if (limit.level === "busy") return [words.busy(name, number(limit.held))];
  const sentence = [words.spent(name, number(limit.used), number(limit.max))];
  if (limit.resetsAtMs !== null) {
    // The sentence stands around the <time>: a placeholder marks where.
    const [before, after] = words.again("\0", relative(words, limit.resetsAtMs - nowMs)).split("\0");
    sentence.push(` ${before}`, time(words, limit.resetsAtMs), after);
  }
  const isPart = Array.isArray(limit.models) && limit.models.length > 0;
  if (isPart && usage.canSendMessage === true) sentence.push(` ${words.othersAnswer}`);
  return sentence;
}

function premiumBlock(words, usage) {
  const models = Array.isArray(usage.premiumModels) ? usage.premiumModels : [];
  if (models.length === 0) return null;
  const state = usage.canSendPremiumMessage === false ? words.premiumNo : words.premiumYes;
  const chips = models.map((model) => make("li", { class: "chip", part: "model", text: String(model) }));
  return make("div", { class: "block", part: "premium" },
    make("h3", { text: words.premiumModels }), make("p", { class: "muted", text: state }), make("ul", { class: "chips" }, ...chips));
}

/** The last months: bars with their numbers for the eye, the same as a table for a screen reader. */
function historyBlock(words, history, nowMs) {
  const block = make("div", { class: "block holder", part: "history" }, make("h3", { text: words.history }));
  if (history.failed) {
    block.append(make("p", { class: "muted", text: words.historyFailed }));
    return block;
  }
  const months = lastMonths(history.items, nowMs);
  const top = Math.max(...months.map((month) => month.messages));
  if (top === 0) {
    block.append(make("p", { class: "muted", text: words.historyNone }));
    return block;
  }
  const chart = make("div", { class: "chart", "aria-hidden": "true" });
  const rows = make("tbody");
  for (const month of months) {
    const [premium, other] = [make("div", { class: "premium" }), make("div", { class: "other" })];
    premium.style.blockSize = `${(month.premium / top) * 100}%`;
    other.style.blockSize = `${(month.other / top) * 100}%`;
    premium.hidden = month.premium === 0;
    other.hidden = month.other === 0;
    chart.append(make("div", { class: "month" },
      make("div", { class: "count", text: words.number.format(month.messages) }),
      make("div", { class: "stack" }, premium, other),
      make("div", { class: "muted", text: words.monthShort.format(month.first) })));
    rows.append(make("tr", {}, make("th", { scope: "row", text: words.monthLong.format(month.first) }),
      ...[month.messages, month.premium].map((value) => make("td", { text: words.number.format(value) }))));
  }
  const heads = [words.month, words.allMessages, words.premiumMessages].map((text) => make("th", { scope: "col", text }));
  const table = make("table", {}, make("caption", { text: words.history }), make("thead", {}, make("tr", {}, ...heads)), rows);
  const legend = make("div", { class: "legend muted", "aria-hidden": "true" },
    make("span", { class: "premium", text: words.premiumMessages }), make("span", { text: words.otherMessages }));
  block.append(legend, chart, make("div", { class: "unseen" }, table));
  return block;
}

// ---------------------------------------------------------------- the element

/** Where there is no DOM (a server that renders), the module can still be imported. */
const Base = globalThis.HTMLElement ?? class {};

/**
 * `<usage-dashboard endpoint token locale theme user-id>`; see README.md for properties, events, parts and custom properties.
 */
export class UsageDashboardElement extends Base {
  static observedAttributes = ["endpoint", "token", "locale", "theme", "user-id"];

  #token = "";
  #getToken = null;
  #usage = null;
  #history = null;
  #historyAtMs = 0;
  #updatedAtMs = 0;
  /** loading | ready | error | signed-out */
  #state = "loading";
  #failure = null;
  /** stream | poll | off */
  #live = "off";
  #words = null;
  #cards = new Map();
  #cardCount = 0;
  #view = null;
  /** Ends everything that runs for the present endpoint and token. */
  #life = null;
  #starting = false;
  #loading = null;
  #lastEventId = "";
  #streamEvents = 0;
  #timer = null;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet()];
  }

  /** The gateway's address, such as `https://llm.example.com`; empty: the page's own origin. */
  get endpoint() { return this.getAttribute("endpoint") ?? ""; }
  set endpoint(value) { this.#reflect("endpoint", value); }

  /** The user's token. Set as a property it does not show in the page's markup. */
  get token() { return this.#token; }
  set token(value) {
    const token = String(value ?? "");
    if (token === this.#token) return;
    this.#token = token;
    this.#restart();
  }

  /** `() => token | Promise<token>`: asked before each request, so that a short-lived token can be renewed. */
  get getToken() { return this.#getToken; }
  set getToken(value) {
    if (value === this.#getToken) return;
    this.#getToken = typeof value === "function" ? value : null;
    this.#restart();
  }

  get locale() { return this.getAttribute("locale") ?? ""; }
  set locale(value) { this.#reflect("locale", value); }
  get theme() { return this.getAttribute("theme") ?? "auto"; }
  set theme(value) { this.#reflect("theme", value); }
  /** Whose usage; empty: the token's owner. Administrators only. */
  get userId() { return this.getAttribute("user-id") ?? ""; }
  set userId(value) { this.#reflect("user-id", value); }

  /** The last usage that was loaded, or null. */
  get usage() { return this.#usage; }

  #reflect(name, value) {
    if (value === null || value === undefined || value === "") this.removeAttribute(name);
    else this.setAttribute(name, String(value));
  }

  connectedCallback() {
    // Properties that were set before the element was defined shadow the accessors: take them over.
    for (const name of ["endpoint", "token", "getToken", "locale", "theme", "userId"]) {
      if (!Object.hasOwn(this, name)) continue;
      const value = this[name];
      delete this[name];
      this[name] = value;
    }
    this.#words = null;
    this.#restart();
  }

  disconnectedCallback() {
    this.#stop();
  }

  attributeChangedCallback(name, before, after) {
    if (before === after) return;
    if (name === "token") this.token = after;
    else if (name === "locale") {
      this.#words = null;
      if (this.isConnected) this.#render();
    } else if (name !== "theme") this.#restart();
  }

  /** Loads anew; resolves when the figures are on the page (or the failure is). */
  async refresh() {
    if (!this.#life || this.#state === "signed-out") {
      this.#restart();
      return;
    }
    const { signal } = this.#life;
    const [loaded] = await Promise.all([this.#load(signal), this.#loadHistory(signal)]);
    if (loaded && !signal.aborted) this.#announce(this.#say().refreshed);
  }

  // ------------------------------------------------ loading

  #stop() {
    this.#life?.abort();
    this.#life = null;
    this.#loading = null;
    clearTimeout(this.#timer);
  }

  /** Several attributes may change in one turn: one start follows. Another caller's figures must not stay on the page. */
  #restart() {
    if (!this.isConnected || this.#starting) return;
    this.#starting = true;
    queueMicrotask(() => {
      this.#starting = false;
      this.#stop();
      if (!this.isConnected) return;
      this.#usage = this.#history = this.#failure = null;
      this.#lastEventId = "";
      this.#state = "loading";
      this.#live = "off";
      this.#life = new AbortController();
      this.#render();
      this.#tick();
      this.#run(this.#life.signal);
    });
  }

  async #run(signal) {
    let [canStream, pollMs, retryMs] = [this.userId === "", POLL_MS, STREAM_RETRY_MS];
    await seen(signal);
    let loaded = await this.#load(signal);
    void this.#loadHistory(signal);
    while (!signal.aborted && this.#state !== "signed-out") {
      await seen(signal);
      if (canStream) {
        const openedAtMs = performance.now();
        const end = await this.#stream(signal);
        if (end === "hidden") continue;
        canStream = end !== "unsupported";
        if (performance.now() - openedAtMs > STREAM_SOUND_MS) retryMs = STREAM_RETRY_MS;
      }
      if (signal.aborted || this.#state === "signed-out") return;
      this.#setLive(loaded ? "poll" : "off");
      const waitMs = canStream ? retryMs : pollMs;
      // Spread by a fifth, so that a gateway that comes back is not asked by everybody at once.
      await sleep(waitMs * (0.9 + Math.random() * 0.2), signal);
      await seen(signal);
      loaded = await this.#load(signal);
      retryMs = Math.min(retryMs * 2, STREAM_RETRY_MAX_MS);
      pollMs = loaded ? POLL_MS : Math.min(pollMs * 2, POLL_MAX_MS);
      this.#setLive(loaded ? "poll" : "off");
    }
  }

  #url(path) {
    const base = new URL(this.endpoint || "/", document.baseURI);
    const url = new URL(`${base.origin}${base.pathname.replace(/\/+$/, "")}${path}`);
    if (this.userId !== "") url.searchParams.set("userId", this.userId);
    return url;
  }

  /** The token for one request. What cannot stand in a header is no token. */
  async #credential() {
    let token = this.#token;
    if (this.#getToken) {
      try {
        token = await this.#getToken();
      } catch {
        // The host could not get one: for the reader that is the same as being signed out.
        token = "";
      }
    }
    token = String(token ?? "").trim();
    if (token === "") throw new LoadError("signed-out");
    if (!/^[\x21-\x7e]+$/.test(token)) throw new LoadError("signed-out", 401);
    return token;
  }

  /** True when new figures are shown. Callers at the same time share one request. */
  #load(signal) {
    if (signal.aborted) return Promise.resolve(false);
    this.#loading ??= this.#loadOnce(signal).finally(() => {
      if (!signal.aborted) {
        this.#loading = null;
        this.#render();
      }
    });
    this.#render();
    return this.#loading;
  }

  async #loadOnce(signal) {
    const events = this.#streamEvents;
    try {
      const usage = await getJson(this.#url("/api/usage"), await this.#credential(), signal, looksLikeUsage);
      // An event that came meanwhile is newer than this answer.
      if (!signal.aborted && events === this.#streamEvents) this.#take(usage);
      return true;
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
      return false;
    }
  }

  async #loadHistory(signal) {
    if (signal.aborted || this.#state === "signed-out") return;
    this.#historyAtMs = performance.now();
    const url = this.#url("/api/usage/history");
    url.searchParams.set("months", String(HISTORY_MONTHS));
    try {
      const { items } = await getJson(url, await this.#credential(), signal, looksLikeHistory);
      this.#history = { items, failed: false };
    } catch (error) {
      if (signal.aborted) return;
      // A gateway without a history has no such block; any other failure is told in its place.
      this.#history = error.status === 404 ? null : { items: [], failed: true };
    }
    if (!signal.aborted) this.#render();
  }

  /** Follows the stream until it ends. Answers why: hidden | unsupported | broken. */
  async #stream(signal) {
    const hide = new AbortController();
    const onHide = () => document.hidden && hide.abort();
    document.addEventListener("visibilitychange", onHide);
    const silence = new AbortController();
    let watchdog;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => silence.abort(), STREAM_SILENCE_MS);
    };
    try {
      alive();
      const ends = AbortSignal.any([signal, hide.signal, silence.signal]);
      const headers = { Accept: "text/event-stream" };
      if (this.#lastEventId !== "") headers["Last-Event-ID"] = this.#lastEventId;
      const answer = await get(this.#url("/api/usage/stream"), await this.#credential(), ends, headers);
      if (!/^text\/event-stream\b/i.test(answer.headers.get("content-type") ?? "")) return "unsupported";
      // Said on opening: a stream that resumes where nothing has changed sends no event.
      this.#setLive("stream");
      await this.#read(answer, signal, alive);
    } catch (error) {
      if (hide.signal.aborted && !signal.aborted) return "hidden";
      if (signal.aborted || silence.signal.aborted) return "broken";
      if ([404, 405, 501].includes(error.status)) return "unsupported";
      if (error.kind === "signed-out") this.#fail(error);
      // A gateway on another origin may not allow this header: the next try goes without it and gets the whole figures.
      if (error.kind === "unreachable") this.#lastEventId = "";
    } finally {
      clearTimeout(watchdog);
      document.removeEventListener("visibilitychange", onHide);
    }
    return "broken";
  }

  async #read(answer, signal, alive) {
    const parser = new EventParser((data, id) => {
      if (id !== null) this.#lastEventId = id;
      let usage = null;
      try {
        usage = JSON.parse(data);
      } catch {
        throw new LoadError("unexpected");
      }
      // Other kinds of events may join this stream later.
      if (!looksLikeUsage(usage)) return;
      this.#streamEvents += 1;
      this.#take(usage);
    });
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done || signal.aborted) return;
        alive();
        parser.feed(decoder.decode(value, { stream: true }));
      }
    } finally {
      reader.cancel().catch(() => undefined); // Already broken: nothing is left to cancel.
    }
  }

  #take(usage) {
    const before = this.#usage;
    this.#usage = usage;
    this.#updatedAtMs = Date.now();
    this.#failure = null;
    this.#state = "ready";
    this.#render();
    this.#tick();
    if (before) this.#announceChanges(before, usage);
    const isNew = JSON.stringify(before) !== JSON.stringify(usage);
    if (before && isNew && this.#life && performance.now() - this.#historyAtMs > HISTORY_MIN_MS) void this.#loadHistory(this.#life.signal);
    if (isNew) this.#emit("usage-change", { usage });
  }

  #fail(error) {
    const failure = error instanceof LoadError ? error : new LoadError("unexpected");
    this.#failure = failure;
    // The next stream shall send the whole figures, not only what changes.
    this.#lastEventId = "";
    this.#state = failure.kind === "signed-out" ? "signed-out" : "error";
    this.#live = "off";
    if (this.#state === "signed-out") this.#usage = this.#history = null;
    this.#render();
    this.#announce(this.#noticeText());
    if (this.#state === "signed-out") this.#emit("usage-signed-out", { expired: failure.status === 401 });
    else this.#emit("usage-error", { status: failure.status, message: this.#noticeText() });
  }

  #emit(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true }));
  }

  #setLive(live) {
    this.#live = live;
    this.#render();
  }

  /** Redraws relative times, and loads anew when a limit has been reset meanwhile. */
  #tick() {
    clearTimeout(this.#timer);
    if (!this.#life) return;
    const { signal } = this.#life;
    const resets = (this.#usage?.limits ?? []).map((limit) => moment(limit.resetsAt)).filter((at) => at !== null);
    const nowMs = Date.now();
    const nextMs = Math.min(TICK_MS, ...resets.filter((at) => at > nowMs).map((at) => at - nowMs + AFTER_RESET_MS));
    this.#timer = setTimeout(() => {
      if (signal.aborted) return;
      // Also when the last answer still spoke of a reset that is past: the gateway's clock may be behind.
      if (!document.hidden && resets.some((at) => at <= Date.now())) void this.#load(signal);
      this.#render();
      this.#tick();
    }, nextMs);
  }

  // ------------------------------------------------ showing

  #say() {
    this.#words ??= phrasebook(this.locale || readersLocale(this.closest("[lang]")?.getAttribute("lang") ?? ""));
    return this.#words;
  }

  /** What stays in place for the life of the element: focus and live regions must not be replaced. */
  #build() {
    const view = {
      title: make("h2", { part: "title", id: "title" }),
      plan: make("p", { class: "muted", part: "plan" }),
      user: make("p", { class: "muted", part: "user" }),
      live: make("span", { class: "live muted", part: "live" }),
      liveText: make("span"),
      updated: make("span", { class: "muted", part: "updated" }),
      refresh: make("button", { type: "button", part: "refresh" }),
      announcer: make("div", { class: "unseen", role: "status", "aria-live": "polite" }),
      notice: make("div", { class: "notice", part: "notice" }),
      noticeText: make("p"),
      retry: make("button", { type: "button", part: "retry" }),
      wait: make("div", { class: "wait", "aria-hidden": "true" }, make("div"), make("div"), make("div")),
      slot: make("slot", { name: "signed-out" }),
      status: make("div"),
      limitsBlock: make("div", { class: "block" }),
      limits: make("ul", { class: "limits", part: "limits" }),
      premium: make("div"),
      history: make("div"),
    };
    view.live.append(make("span", { class: "dot", "aria-hidden": "true" }), view.liveText);
    view.notice.append(make("div", { class: "row" }, view.noticeText, view.retry), view.wait, view.slot);
    view.limitsBlock.append(view.limits);
    view.root = make("section", { class: "root holder", part: "root", "aria-labelledby": "title" },
      make("div", { class: "head" },
        make("div", {}, view.title, make("div", { class: "who" }, view.plan, view.user)),
        make("div", { class: "tools" }, view.live, view.updated, view.refresh)),
      view.announcer, view.notice, view.status, view.limitsBlock, view.premium, view.history);
    for (const button of [view.refresh, view.retry]) {
      button.addEventListener("click", () => {
        if (button.getAttribute("aria-disabled") !== "true") void this.refresh();
      });
    }
    this.shadowRoot.replaceChildren(view.root);
    return view;
  }

  #render() {
    const words = this.#say();
    this.#view ??= this.#build();
    const view = this.#view;
    const busy = this.#loading !== null;
    view.root.lang = words.language;
    view.root.dataset.state = this.#state;
    view.root.setAttribute("aria-busy", String(busy && this.#usage === null));
    say(view.title, words.title);
    view.refresh.setAttribute("aria-disabled", String(busy));
    // A button whose width jumps at each poll would be a nuisance: only the first load says what it does.
    say(view.refresh, words.refresh);
    view.live.dataset.live = this.#live;
    say(view.liveText, { stream: words.live, poll: words.polling, off: words.offline }[this.#live]);
    view.live.hidden = this.#state === "signed-out" || this.#state === "loading";
    say(view.updated, this.#usage ? words.updated(words.clockSeconds.format(this.#updatedAtMs)) : "");
    this.#renderNotice(words, view);
    this.#renderUsage(words, view);
  }

  #noticeText() {
    const words = this.#say();
    if (this.#state === "loading") return words.loading;
    if (this.#state === "signed-out") return this.#failure?.status === 401 ? words.signInExpired : words.signedOut;
    if (this.#state === "error") {
      const { kind, status, message } = this.#failure;
      const why = kind === "status" ? message || words.status(status) : words[kind];
      return `${this.#usage ? words.stale(words.clock.format(this.#updatedAtMs)) : words.failed} ${why}`;
    }
    if (this.#usage.degraded === true) return words.degraded;
    if (this.#usage.limits.length === 0) return `${words.empty} ${words.emptyCount(words.number.format(figure(this.#usage.totalMessages) ?? 0))}`;
    return "";
  }

  #renderNotice(words, view) {
    const text = this.#noticeText();
    view.notice.hidden = text === "";
    view.notice.dataset.kind = this.#state === "error" || this.#usage?.degraded ? "error" : "plain";
    say(view.noticeText, text);
    view.wait.hidden = this.#state !== "loading";
    view.slot.hidden = this.#state !== "signed-out";
    view.retry.hidden = this.#state !== "error";
    say(view.retry, words.retry);
  }

  #renderUsage(words, view) {
    const usage = this.#usage;
    for (const part of [view.plan, view.user, view.status, view.limitsBlock, view.premium, view.history]) part.hidden = !usage;
    if (!usage) {
      // Hidden is not gone: another user's figures must leave the document too.
      for (const part of [view.plan, view.user, view.status, view.limits, view.premium, view.history]) part.replaceChildren();
      this.#cards.clear();
      return;
    }
    const nowMs = Date.now();
    const limits = usage.limits.map(standing);
    say(view.plan, words.plan(String(usage.plan ?? "–")));
    say(view.user, words.user(String(usage.userId ?? "–")));
    replaceIfNew(view.status, statusBox(words, usage, limits, nowMs));
    this.#renderLimits(words, limits, moment(usage.lastReset), nowMs);
    view.limitsBlock.hidden = limits.length === 0;
    replaceIfNew(view.premium, premiumBlock(words, usage));
    replaceIfNew(view.history, this.#history ? historyBlock(words, this.#history, nowMs) : null);
  }

  #renderLimits(words, limits, lastResetMs, nowMs) {
    const list = this.#view.limits;
    list.setAttribute("aria-label", words.limits);
    const kept = new Set();
    limits.forEach((limit, index) => {
      const key = `${String(limit.name)}\0${index}`;
      kept.add(key);
      let card = this.#cards.get(key);
      if (!card) {
        card = new LimitCard(`limit-${(this.#cardCount += 1)}`);
        this.#cards.set(key, card);
      }
      if (list.children[index] !== card.element) list.insertBefore(card.element, list.children[index] ?? null);
      card.show(words, limit, lastResetMs, nowMs);
    });
    for (const [key, card] of this.#cards) {
      if (kept.has(key)) continue;
      card.element.remove();
      this.#cards.delete(key);
    }
  }

  #announce(text) {
    if (!this.#view) return;
    const { announcer } = this.#view;
    // The same sentence again is read out only when its text differs: a no-break space at its end does that.
    announcer.textContent = announcer.textContent === text ? `${text}\u00a0` : text;
  }

  /** Only what changes the reader's plans is read out: a limit that turns, not each message. */
  #announceChanges(before, after) {
    const words = this.#say();
    const levels = new Map(before.limits.map(standing).map((limit) => [limit.name, limit.level]));
    const turned = after.limits.map(standing).filter((limit) => levels.has(limit.name) && levels.get(limit.name) !== limit.level);
    const sentences = turned.map((limit) =>
      words.changed(limitName(words, limit), words.levels[limit.level], words.of(amount(words, limit, limit.used), amount(words, limit, limit.max))));
    if (sentences.length > 0) this.#announce(sentences.join(" "));
  }
}

/** Puts `next` (or nothing) into `holder` unless it already shows the same. */
function replaceIfNew(holder, next) {
  if (next === null) holder.replaceChildren();
  else if (!holder.firstElementChild?.isEqualNode(next)) holder.replaceChildren(next);
}

if (globalThis.customElements && !customElements.get("usage-dashboard")) {
  customElements.define("usage-dashboard", UsageDashboardElement);
}
