import { useMutation } from "convex/react";
import { useEffect } from "react";
import { api } from "../../convex/_generated/api";
import { useSessionId } from "../session";

/** Tells the functions that somebody is here; the first time that is a sign-up. */
export function Welcome() {
  const welcome = useMutation(api.users.welcome);
  const sessionId = useSessionId();

  useEffect(() => {
    void welcome({ session_id: sessionId() });
  }, [welcome, sessionId]);

  return null;
}
