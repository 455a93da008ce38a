import { ConvexAuthProvider } from "@convex-dev/auth/react";
import { PostHogProvider } from "@posthog/react";
import { ConvexReactClient } from "convex/react";
import posthog from "posthog-js";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import "./styles.css";

const convex = new ConvexReactClient(import.meta.env.VITE_CONVEX_URL);

if (import.meta.env.VITE_PUBLIC_POSTHOG_PROJECT_TOKEN) {
  posthog.init(import.meta.env.VITE_PUBLIC_POSTHOG_PROJECT_TOKEN, {
    api_host: import.meta.env.VITE_PUBLIC_POSTHOG_HOST,
    defaults: "2026-01-30", // a pageview at each step of the history, among others
    capture_exceptions: true,
  });
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <ConvexAuthProvider client={convex}>
      <PostHogProvider client={posthog}>
        <App />
      </PostHogProvider>
    </ConvexAuthProvider>
  </StrictMode>,
);
