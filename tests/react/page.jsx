// A page as Convex's documentation has it: hooks, an optimistic update, pages that grow, an error boundary.
import { ConvexProvider, ConvexReactClient, useAction, useMutation, usePaginatedQuery, useQuery } from "convex/react";
import { anyApi as api } from "convex/server";
import { ConvexError } from "convex/values";
import { Component, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

const { url, name } = Object.fromEntries(new URLSearchParams(location.search));
const client = new ConvexReactClient(url);
window.convex = client; // for the tests to look at its connection

class Boundary extends Component {
  state = { error: null };
  static getDerivedStateFromError(error) {
    return { error };
  }
  render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    return <p id={this.props.id}>{error instanceof ConvexError ? JSON.stringify(error.data) : error.message}</p>;
  }
}

function Counter() {
  const total = useQuery(api.counters.get, { name });
  const optimistically = (store, { by }) => {
    const known = store.getQuery(api.counters.get, { name });
    if (known !== undefined) store.setQuery(api.counters.get, { name }, known + by);
  };
  const add = useMutation(api.counters.add).withOptimisticUpdate(optimistically);
  const refuse = useMutation(api.counters.refuse).withOptimisticUpdate(optimistically);
  const addFromAction = useAction(api.counters.add_from_action);
  const [said, setSaid] = useState("");
  return (
    <section>
      <p id="total">{total === undefined ? "loading" : total}</p>
      <button id="add" onClick={() => add({ name, by: 1 }).then((answer) => setSaid(`added ${answer}`))}>Add</button>
      <button id="refuse" onClick={() => refuse({ name, by: 100 }).catch((error) => setSaid(error.data.code))}>Refuse</button>
      <button id="act" onClick={() => addFromAction({ name, by: 10 }).then((answer) => setSaid(`acted ${answer}`))}>Act</button>
      <p id="said">{said}</p>
    </section>
  );
}

function Limited() {
  const total = useQuery(api.counters.at_most, { name, limit: 5 });
  return <p id="limited">{total === undefined ? "loading" : `within ${total}`}</p>;
}

function Skipped() {
  const [asking, setAsking] = useState(false);
  const total = useQuery(api.counters.get, asking ? { name } : "skip");
  return (
    <section>
      <button id="ask" onClick={() => setAsking((before) => !before)}>Ask</button>
      <p id="skipped">{total === undefined ? "nothing" : total}</p>
    </section>
  );
}

function Notes() {
  const { results, status, loadMore } = usePaginatedQuery(api.notes.page, { book: name }, { initialNumItems: 3 });
  return (
    <section>
      <p id="notes">{results.map((note) => note.n).join(" ")}</p>
      <p id="status">{status}</p>
      <button id="more" onClick={() => loadMore(3)}>More</button>
    </section>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <ConvexProvider client={client}>
      <Counter />
      <Boundary id="limited"><Limited /></Boundary>
      <Skipped />
      <Notes />
    </ConvexProvider>
  </StrictMode>,
);
