// A page as the documentation of Convex Auth has it: sign-up and sign-in forms, sign-out, and what the user sees.
import { ConvexAuthProvider, useAuthActions } from "@convex-dev/auth/react";
import { Authenticated, AuthLoading, ConvexReactClient, Unauthenticated, useMutation, useQuery } from "convex/react";
import { anyApi as api } from "convex/server";
import { ConvexError } from "convex/values";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

const { url } = Object.fromEntries(new URLSearchParams(location.search));
const client = new ConvexReactClient(url);
window.convex = client; // for the tests to look at its connection

function SignIn() {
  const { signIn } = useAuthActions();
  const [flow, setFlow] = useState("signIn");
  const [said, setSaid] = useState("");
  const submit = (event) => {
    event.preventDefault();
    setSaid("");
    signIn("password", new FormData(event.currentTarget)).then(
      ({ signingIn }) => !signingIn && setFlow("reset-verification"),
      (error) => setSaid(error instanceof ConvexError ? error.data.code : error.message),
    );
  };
  return (
    <form onSubmit={submit}>
      <input id="email" name="email" />
      <input id="password" name="password" type="password" />
      <input name="flow" type="hidden" value={flow} />
      {flow === "reset-verification" && <input id="code" name="code" />}
      {flow === "reset-verification" && <input id="newPassword" name="newPassword" type="password" />}
      <button id="submit">{flow}</button>
      <button id="other" type="button" onClick={() => setFlow(flow === "signIn" ? "signUp" : "signIn")}>Other</button>
      <button id="forgot" type="button" onClick={() => setFlow("reset")}>Forgot</button>
      <p id="said">{said}</p>
    </form>
  );
}

function Notes() {
  const { signOut } = useAuthActions();
  const me = useQuery(api.notes.me);
  const notes = useQuery(api.notes.mine);
  const add = useMutation(api.notes.add);
  return (
    <section>
      <p id="me">{me === undefined ? "loading" : me}</p>
      <p id="notes">{notes === undefined ? "loading" : notes.join(" ")}</p>
      <button id="add" onClick={() => add({ text: "note" })}>Add</button>
      <button id="out" onClick={() => void signOut()}>Out</button>
    </section>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <ConvexAuthProvider client={client}>
      <AuthLoading><p id="state">loading</p></AuthLoading>
      <Unauthenticated><p id="state">out</p><SignIn /></Unauthenticated>
      <Authenticated><p id="state">in</p><Notes /></Authenticated>
    </ConvexAuthProvider>
  </StrictMode>,
);
