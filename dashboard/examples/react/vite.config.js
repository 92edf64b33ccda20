import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `VITE_GATEWAY` names the gateway; empty: the page's own origin, which the dev server hands on to a local gateway.
export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/api": "http://127.0.0.1:8080" } },
});
