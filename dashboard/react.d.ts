// Types of react.js, for React 18 and 19.

import type { CSSProperties, ForwardRefExoticComponent, ReactNode, RefAttributes } from "react";
import type { TokenSource, Usage, UsageDashboardElement } from "./usage-dashboard.js";

export type { TokenSource, Usage, UsageDashboardElement, UsageLimit } from "./usage-dashboard.js";

export interface UsageDashboardProps {
  /** The gateway's address, such as `https://llm.example.com`; default: the page's own origin. */
  endpoint?: string;
  /** The user's token. */
  token?: string;
  /** Asked before each request; takes the place of `token`. May be written inline. */
  getToken?: TokenSource;
  /** BCP 47, such as `de-AT`; default: the page's language, then the browser's. */
  locale?: string;
  /** Default: `auto`. */
  theme?: "auto" | "light" | "dark";
  /** Whose usage; administrators only. Default: the token's owner. */
  userId?: string;
  /** New figures are shown. */
  onUsage?: (usage: Usage) => void;
  /** No token, or one that is refused (`expired`). */
  onSignedOut?: (detail: { expired: boolean }) => void;
  /** The figures could not be loaded; `status` is null when there was no answer. */
  onError?: (detail: { status: number | null; message: string }) => void;
  id?: string;
  className?: string;
  style?: CSSProperties;
  /** Shown to a reader who is signed out when it has `slot="signed-out"`, such as a sign-in button. */
  children?: ReactNode;
}

/** The usage dashboard. Its ref is the element, for `refresh()`. */
export const UsageDashboard: ForwardRefExoticComponent<UsageDashboardProps & RefAttributes<UsageDashboardElement>>;
