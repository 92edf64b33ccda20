// A chat app that shows its user's quota beside the chat.

import { StrictMode, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { UsageDashboard, type Usage, type UsageDashboardElement } from "@tollgate/usage-dashboard/react";

function Chat() {
  const dashboard = useRef<UsageDashboardElement>(null);
  const [usage, setUsage] = useState<Usage | null>(null);
  const [isOpen, setOpen] = useState(true);

  return (
    <>
      <h1>Chat</h1>
      <p id="summary">{usage ? `${usage.totalMessages} messages this month` : "No usage yet"}</p>
      <button type="button" onClick={() => setOpen(!isOpen)}>{isOpen ? "Hide usage" : "Show usage"}</button>{" "}
      <button type="button" disabled={!isOpen} onClick={() => dashboard.current?.refresh()}>Reload usage</button>
      {isOpen && (
        <UsageDashboard
          ref={dashboard}
          endpoint={import.meta.env.VITE_GATEWAY}
          getToken={() => sessionStorage.getItem("chat-token") ?? ""}
          theme="auto"
          className="usage"
          onUsage={setUsage}
        >
          <a slot="signed-out" href="/login">Sign in</a>
        </UsageDashboard>
      )}
    </>
  );
}

createRoot(document.getElementById("root")!).render(<StrictMode><Chat /></StrictMode>);
