import { useQuery } from "convex/react";
import { api } from "../../convex/_generated/api";

const { VITE_PUBLIC_FLAGS_EVERY_S: every, VITE_PUBLIC_POSTHOG_LOCAL_URL: local } = import.meta.env;

/** What a visitor of the demo wants to know; nothing outside of it. */
export function DemoNote() {
  const me = useQuery(api.users.currentUser);
  return (
    <footer>
      <p>An example app. Nothing here can be bought, and no card is charged.</p>
      {every && (
        <p>
          Prices follow the flag <code>discount-campaign</code>. This demo asks for changed flags every {every} s
          {every === "60" ? "." : "; 60 s is usual."}
          {local && (
            <>
              {" "}
              <a href={`${local}/feature_flags/discount-campaign`}>Edit it</a>, and watch the shelf.
            </>
          )}
        </p>
      )}
      {local && me && (
        <p>
          <a href={`${local}/person/${me._id}`}>Your timeline</a> in PostHog Local
        </p>
      )}
    </footer>
  );
}
