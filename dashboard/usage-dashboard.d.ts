// Types of usage-dashboard.js. The usage object is the body of `GET /api/usage`.

/** One limit of the user's plan. */
export interface UsageLimit {
  name: string;
  /** What is counted: `messages`, `input_tokens`, `output_tokens`, `tokens`, `cost_usd` or `in_flight`. */
  meter: string;
  /** Patterns and `@groups`; empty: all models. */
  models: string[];
  /** Whose messages count together. */
  scope?: "user" | "team" | "key";
  per: "second" | "minute" | "hour" | "day" | "week" | "month" | "year" | null;
  max: number;
  used: number;
  /** Taken by requests in progress. */
  held: number;
  remaining: number;
  /** RFC 3339. */
  resetsAt: string | null;
}

/** The body of `GET /api/usage`. Times are RFC 3339. */
export interface Usage {
  userId: string;
  totalMessages: number;
  premiumMessages: number;
  lastReset: string;
  canSendMessage: boolean;
  canSendPremiumMessage: boolean;
  plan: string;
  resetsAt: string;
  limits: UsageLimit[];
  premiumModels: string[];
  /** The counters cannot be reached; the figures may be late. */
  degraded?: boolean;
}

export interface UsageDashboardEventMap {
  /** New figures are shown. */
  "usage-change": CustomEvent<{ usage: Usage }>;
  /** No token, or one that is refused (`expired`). */
  "usage-signed-out": CustomEvent<{ expired: boolean }>;
  /** The figures could not be loaded; `status` is the HTTP status, null when there was no answer. */
  "usage-error": CustomEvent<{ status: number | null; message: string }>;
}

export type TokenSource = () => string | Promise<string>;

export class UsageDashboardElement extends HTMLElement {
  /** The gateway's address; empty: the page's own origin. */
  endpoint: string;
  /** The user's token. */
  token: string;
  /** Asked before each request; takes the place of `token`. */
  getToken: TokenSource | null;
  /** BCP 47, such as `de-AT`; empty: the page's language, then the browser's. */
  locale: string;
  theme: "auto" | "light" | "dark";
  /** Whose usage; administrators only. Empty: the token's owner. */
  userId: string;
  /** What was loaded last. */
  readonly usage: Usage | null;
  /** Loads anew; resolves when the figures, or the failure, are shown. */
  refresh(): Promise<void>;

  addEventListener<K extends keyof UsageDashboardEventMap>(
    type: K,
    listener: (this: UsageDashboardElement, event: UsageDashboardEventMap[K]) => unknown,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(type: string, listener: EventListenerOrEventListenerObject, options?: boolean | AddEventListenerOptions): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "usage-dashboard": UsageDashboardElement;
  }
}
