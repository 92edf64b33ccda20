// The page at /dashboard, and what it shares with /admin: the tab's token, sign-in, the theme. Owns where the token is kept.
// Must not know how usage is fetched or shown.
//
// The token comes from the form or from `#token=…`. A fragment is never sent to a server; it is taken out of the address
// bar (and this entry of the history) before anything else runs. The token is kept in sessionStorage: this tab only.

import "./usage-dashboard.js";

const TOKEN_KEY = "tollgate.token";
const THEME_KEY = "tollgate.theme";
const THEMES = ["auto", "light", "dark"];

const STRINGS = {
  en: {
    title: "Usage · tollgate", heading: "Your usage", signIn: "Sign in", token: "Token", show: "Show my usage", signOut: "Sign out",
    help: "Paste your token. It stays in this tab and is forgotten when the tab is closed.",
    refused: "This token is not valid or has expired.",
    themes: { auto: "Theme: auto", light: "Theme: light", dark: "Theme: dark" },
  },
  de: {
    title: "Nutzung · tollgate", heading: "Ihre Nutzung", signIn: "Anmelden", token: "Token", show: "Nutzung zeigen", signOut: "Abmelden",
    help: "Token einfügen. Es bleibt in diesem Tab und wird vergessen, wenn der Tab geschlossen wird.",
    refused: "Dieses Token ist ungültig oder abgelaufen.",
    themes: { auto: "Design: auto", light: "Design: hell", dark: "Design: dunkel" },
  },
};

/** Storage may be forbidden to a page (private windows, policies): then a value lives as long as the page. */
function keeper(storage) {
  const memory = new Map();
  const attempt = (act, instead) => {
    try {
      return act(window[storage]);
    } catch {
      return instead();
    }
  };
  return {
    get: (key) => attempt((store) => store.getItem(key), () => memory.get(key) ?? null),
    set: (key, value) => attempt((store) => store.setItem(key, value), () => memory.set(key, value)),
    remove: (key) => attempt((store) => store.removeItem(key), () => memory.delete(key)),
  };
}
const tabStore = keeper("sessionStorage");
const browserStore = keeper("localStorage");

/** Takes `#token=…` out of the address bar. True when there was one. */
function takeTokenFromFragment() {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const token = fragment.get("token")?.trim();
  if (token === undefined) return false;
  history.replaceState(null, "", location.pathname + location.search);
  if (token !== "") tabStore.set(TOKEN_KEY, token);
  return token !== "";
}

/** The sign-in card and the token behind it. `onChange(token)` is called now and after each change; "" is signed out. */
export function session({ form, signOut, refused, onChange }) {
  const input = form.querySelector("input");
  const problem = form.querySelector(".problem");
  const show = () => {
    const token = tabStore.get(TOKEN_KEY) ?? "";
    form.hidden = token !== "";
    signOut.hidden = token === "";
    onChange(token);
  };
  takeTokenFromFragment();
  window.addEventListener("hashchange", () => {
    if (!takeTokenFromFragment()) return;
    problem.textContent = "";
    show();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    tabStore.set(TOKEN_KEY, input.value.trim());
    input.value = "";
    problem.textContent = "";
    show();
  });
  const leave = (text) => {
    tabStore.remove(TOKEN_KEY);
    show();
    problem.textContent = text;
    input.focus();
  };
  signOut.addEventListener("click", () => leave(""));
  show();
  return { refuse: () => leave(refused) };
}

/** A button that goes round automatic, light and dark; the choice is kept. */
export function themeButton(button, names, onChange = () => {}) {
  let theme = browserStore.get(THEME_KEY);
  if (!THEMES.includes(theme)) theme = "auto";
  const show = () => {
    document.documentElement.dataset.theme = theme;
    button.textContent = names[theme];
    onChange(theme);
  };
  button.addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    browserStore.set(THEME_KEY, theme);
    show();
  });
  show();
}

export const ENGLISH = STRINGS.en;

function start() {
  const language = navigator.language.split("-")[0];
  const words = STRINGS[language] ?? STRINGS.en;
  document.documentElement.lang = STRINGS[language] ? language : "en";
  document.title = words.title;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = words[element.dataset.text];

  const place = document.querySelector("#place");
  const dashboard = document.createElement("usage-dashboard");
  dashboard.locale = navigator.language;
  const access = session({
    form: document.querySelector(".sign-in"),
    signOut: document.querySelector("[data-action=sign-out]"),
    refused: words.refused,
    onChange: (token) => {
      dashboard.token = token;
      place.replaceChildren(...(token === "" ? [] : [dashboard]));
    },
  });
  dashboard.addEventListener("usage-signed-out", () => access.refuse());
  themeButton(document.querySelector("[data-action=theme]"), words.themes, (theme) => {
    dashboard.theme = theme;
  });
}

if (document.body.dataset.page === "dashboard") start();
