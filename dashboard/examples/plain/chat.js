// Gives the dashboard the chat's own token, when it is asked for one. Must not put it into the page or a URL.

const dashboard = document.querySelector("usage-dashboard");
dashboard.getToken = () => sessionStorage.getItem("chat-token") ?? "";

dashboard.addEventListener("usage-change", (event) => {
  document.title = event.detail.usage.canSendMessage ? "Chat" : "Chat (quota used up)";
});
