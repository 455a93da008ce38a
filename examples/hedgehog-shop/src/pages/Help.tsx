import { useMutation, useQuery } from "convex/react";
import { type FormEvent, useEffect, useRef, useState } from "react";
import { api } from "../../convex/_generated/api";
import type { Doc } from "../../convex/_generated/dataModel";
import { sentence } from "../errors";
import { Link } from "../navigation";
import { useSessionId } from "../session";

/** The support: questions go in by a mutation, and answers grow in a query that everybody watches. */
export function Help() {
  const me = useQuery(api.users.currentUser);
  const messages = useQuery(api.chat.mine);
  return (
    <>
      <h1 tabIndex={-1}>Help</h1>
      {me === null ? (
        <p>
          <Link to="/sign-in">Sign in</Link> to ask our support.
        </p>
      ) : (
        <>
          <p className="small">Ask what something costs, or about your orders. A program answers.</p>
          <Conversation messages={messages ?? []} />
          <Question busy={messages?.some((one) => one.state === "writing") ?? true} />
        </>
      )}
    </>
  );
}

function Conversation({ messages }: { messages: Doc<"messages">[] }) {
  const end = useRef<HTMLLIElement>(null);
  const latest = messages.at(-1)?.text;
  useEffect(() => {
    void end.current?.scrollIntoView({ block: "nearest" }); // newer browsers return a promise
  }, [latest, messages.length]);
  return (
    <ol className="talk" aria-live="polite">
      {messages.map((message, place) => (
        <li
          key={message._id}
          ref={place === messages.length - 1 ? end : undefined}
          className={message.author}
          aria-busy={message.state === "writing"}
          data-state={message.state}
        >
          <span className="hidden">{message.author === "support" ? "Support: " : "You: "}</span>
          {message.text || "…"}
        </li>
      ))}
    </ol>
  );
}

function Question({ busy }: { busy: boolean }) {
  const ask = useMutation(api.chat.ask);
  const sessionId = useSessionId();
  const [text, setText] = useState("");
  const [problem, setProblem] = useState<string>();

  function send(event: FormEvent) {
    event.preventDefault();
    setProblem(undefined);
    ask({ text, session_id: sessionId() }).then(
      () => setText(""),
      (error: unknown) => setProblem(sentence(error)),
    );
  }

  return (
    <form className="question" onSubmit={send}>
      <label>
        Your question
        <input value={text} maxLength={500} required onChange={(e) => setText(e.target.value)} />
      </label>
      <button disabled={busy || !text.trim()}>Ask</button>
      {problem && (
        <p role="alert" className="bad">
          {problem}
        </p>
      )}
    </form>
  );
}
