import { usePostHog } from "@posthog/react";
import { useQuery } from "convex/react";
import { useEffect } from "react";
import { api } from "../../convex/_generated/api";

/**
 * Once somebody is signed in, the browser's events are theirs: the id is that of the document in
 * `users`, which the functions' events have too. What PostHog's documentation calls AuthSync, with the
 * same query and the same call.
 */
export function AuthSync() {
  const posthog = usePostHog();
  const user = useQuery(api.users.currentUser);
  const id = user?._id;

  useEffect(() => {
    if (!user) return;
    posthog.identify(user._id, { name: user.name, email: user.email });
    // A plan that changes is the mutations' to tell.
  }, [id, posthog]);

  return null;
}
