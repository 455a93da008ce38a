import { usePostHog } from "@posthog/react";
import { useConvexAuth } from "convex/react";
import { useEffect } from "react";

/**
 * Nobody who comes after somebody in this browser is taken for them: once nobody is signed in, what is
 * captured belongs to a new anonymous person. That holds in every open tab, and also when a session
 * ended while the page was closed.
 */
export function SessionEnd() {
  const posthog = usePostHog();
  const { isLoading, isAuthenticated } = useConvexAuth();

  useEffect(() => {
    if (!isLoading && !isAuthenticated && posthog.get_property("$user_state") === "identified") {
      posthog.reset();
    }
  }, [isLoading, isAuthenticated, posthog]);

  return null;
}
