import { usePostHog } from "@posthog/react";
import { useCallback } from "react";

/**
 * The browser's session, for functions to pass on: what they capture is then found from the session's
 * replay. Asked at each call, because a session ends after half an hour without activity.
 */
export function useSessionId(): () => string | undefined {
  const posthog = usePostHog();
  return useCallback(() => posthog.get_session_id() || undefined, [posthog]);
}
