import { useAuthActions } from "@convex-dev/auth/react";
import { useConvexAuth } from "convex/react";
import { useState, type FormEvent } from "react";
import { sentence } from "../errors";
import { go, Link } from "../navigation";

export function SignIn() {
  const { isAuthenticated } = useConvexAuth();
  const { signIn } = useAuthActions();
  const [isNew, setIsNew] = useState(true);
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    setBusy(true);
    setFailed("");
    try {
      await signIn("password", new FormData(event.currentTarget));
      go("/");
    } catch (error) {
      setFailed(sentence(error));
    } finally {
      setBusy(false);
    }
  };
  if (isAuthenticated) {
    return (
      <>
        <h1 tabIndex={-1}>You are signed in</h1>
        <p>
          <Link to="/">To the shelf</Link>
        </p>
      </>
    );
  }
  return (
    <>
      <h1 tabIndex={-1}>{isNew ? "Sign up" : "Sign in"}</h1>
      <form onSubmit={(event) => void submit(event)}>
        <input type="hidden" name="flow" value={isNew ? "signUp" : "signIn"} />
        {isNew && (
          <label>
            Name
            <input name="name" required maxLength={80} autoComplete="name" />
          </label>
        )}
        <label>
          E-mail
          <input name="email" type="email" required autoComplete="email" />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            required
            minLength={8}
            autoComplete={isNew ? "new-password" : "current-password"}
            aria-describedby="rule"
          />
        </label>
        <p id="rule" className="small">
          8 characters or more. This is a demo: use none that counts elsewhere.
        </p>
        <button disabled={busy}>{isNew ? "Sign up" : "Sign in"}</button>
        {failed && (
          <p role="alert" className="bad">
            {failed}
          </p>
        )}
      </form>
      <p>
        {isNew ? "You have been here before? " : "You are new? "}
        <button className="plain" onClick={() => setIsNew(!isNew)}>
          {isNew ? "Sign in instead" : "Sign up instead"}
        </button>
      </p>
    </>
  );
}
