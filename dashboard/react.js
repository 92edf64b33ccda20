"use client";
// UsageDashboard: <usage-dashboard> as a React component, for React 18 and 19. Owns how props become properties and events
// become callbacks. Must not know how usage is fetched or shown.

import { createElement, forwardRef, useCallback, useEffect, useLayoutEffect, useRef } from "react";
import "./usage-dashboard.js";

/** On a server there is no layout; React 18 warns about a layout effect there. */
const useEarlyEffect = typeof window === "undefined" ? useEffect : useLayoutEffect;

/** Calls `handler` as it is at the time of the event. */
function useEvent(element, name, handler, pick) {
  const latest = useRef(handler);
  useEarlyEffect(() => {
    latest.current = handler;
  });
  useEarlyEffect(() => {
    const target = element.current;
    const listener = (event) => latest.current?.(pick(event.detail));
    target.addEventListener(name, listener);
    return () => target.removeEventListener(name, listener);
  }, [element, name, pick]);
}

const usageOf = (detail) => detail.usage;
const whole = (detail) => detail;

/** See react.d.ts for the props. */
export const UsageDashboard = forwardRef(function UsageDashboard(props, ref) {
  const { endpoint, token, getToken, locale, theme, userId, onUsage, onSignedOut, onError, className, style, children, ...rest } = props;
  const element = useRef(null);

  // Events first: the effects that set properties may cause the first of them.
  useEvent(element, "usage-change", onUsage, usageOf);
  useEvent(element, "usage-signed-out", onSignedOut, whole);
  useEvent(element, "usage-error", onError, whole);

  // A `getToken` written inline is a new function at each render; the element must not start anew for that.
  const latestGetToken = useRef(getToken);
  useEarlyEffect(() => {
    latestGetToken.current = getToken;
  });
  const hasGetToken = typeof getToken === "function";

  useEarlyEffect(() => {
    // By property, not attribute: so the token does not show in the page's markup.
    Object.assign(element.current, { endpoint: endpoint ?? "", locale: locale ?? "", theme: theme ?? "auto", userId: userId ?? "" });
  }, [endpoint, locale, theme, userId]);
  useEarlyEffect(() => {
    element.current.token = token ?? "";
  }, [token]);
  useEarlyEffect(() => {
    element.current.getToken = hasGetToken ? () => latestGetToken.current() : null;
  }, [hasGetToken]);

  const attach = useCallback(
    (node) => {
      element.current = node;
      if (typeof ref === "function") ref(node);
      else if (ref) ref.current = node;
    },
    [ref],
  );
  // React 18 writes `className` on a custom element as an attribute of that name; `class` works in both.
  return createElement("usage-dashboard", { ...rest, class: className, style, ref: attach }, children);
});
