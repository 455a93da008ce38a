import { useAuthActions } from "@convex-dev/auth/react";
import { useMutation, useQuery } from "convex/react";
import type { Doc } from "../../convex/_generated/dataModel";
import { api } from "../../convex/_generated/api";
import { go, Link } from "../navigation";
import { useSessionId } from "../session";

export function Account() {
  const me = useQuery(api.users.currentUser);
  const { signOut } = useAuthActions();
  if (me === undefined) return <p role="status">Looking who you are…</p>;
  if (me === null) {
    return (
      <>
        <h1 tabIndex={-1}>Nobody is signed in</h1>
        <p>
          <Link to="/sign-in">Sign in</Link> to see your plan and your orders.
        </p>
      </>
    );
  }
  return (
    <>
      <h1 tabIndex={-1}>{me.name}</h1>
      <p>
        {me.email}{" "}
        <button className="plain" onClick={() => void signOut().then(() => go("/"))}>
          Sign out
        </button>
      </p>
      <Plans me={me} />
      <Orders />
    </>
  );
}

const PLANS: { plan: Doc<"users">["plan"]; name: string; about: string }[] = [
  { plan: "free", name: "Free", about: "You buy, we send." },
  { plan: "club", name: "Hedge club", about: "A letter every autumn, and leaves when you need them." },
];

function Plans({ me }: { me: Doc<"users"> }) {
  const choose = useMutation(api.users.choose_plan);
  const sessionId = useSessionId();
  return (
    <section aria-labelledby="plans">
      <h2 id="plans">Your plan</h2>
      <ul className="plans">
        {PLANS.map(({ plan, name, about }) => (
          <li key={plan} className={me.plan === plan ? "chosen" : undefined}>
            <h3>{name}</h3>
            <p>{about}</p>
            {me.plan === plan ? (
              <p className="good">This is yours.</p>
            ) : (
              <button onClick={() => void choose({ plan, session_id: sessionId() })}>
                {plan === "club" ? "Upgrade" : "Go back to it"}
                <span className="hidden">: {name}</span>
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Orders() {
  const orders = useQuery(api.orders.mine);
  return (
    <section aria-labelledby="orders">
      <h2 id="orders">Your orders</h2>
      {orders?.length === 0 && <p>None yet.</p>}
      <ul className="orders">
        {orders?.map((order) => (
          <li key={order._id}>
            {order.items} {order.items === 1 ? "thing" : "things"} for {order.paid} €,{" "}
            {new Date(order._creationTime).toLocaleTimeString()}
          </li>
        ))}
      </ul>
    </section>
  );
}
