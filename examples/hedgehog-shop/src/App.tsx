import { PostHogErrorBoundary } from "@posthog/react";
import { Authenticated, useQuery } from "convex/react";
import { useEffect, useRef } from "react";
import { api } from "../convex/_generated/api";
import { AuthSync } from "./components/AuthSync";
import { DemoNote } from "./components/DemoNote";
import { SessionEnd } from "./components/SessionEnd";
import { Welcome } from "./components/Welcome";
import { Link, usePath } from "./navigation";
import { Account } from "./pages/Account";
import { Basket } from "./pages/Basket";
import { Help } from "./pages/Help";
import { ProductPage } from "./pages/ProductPage";
import { Shelf } from "./pages/Shelf";
import { SignIn } from "./pages/SignIn";
import type { Id } from "../convex/_generated/dataModel";

export function App() {
  return (
    <>
      <a className="skip" href="#main">
        Skip to content
      </a>
      <SessionEnd />
      <Authenticated>
        <AuthSync />
        <Welcome />
      </Authenticated>
      <Header />
      <main id="main">
        <PostHogErrorBoundary fallback={<p role="alert">This page broke. Load it again.</p>}>
          <Page />
        </PostHogErrorBoundary>
      </main>
      <DemoNote />
    </>
  );
}

function Header() {
  const me = useQuery(api.users.currentUser);
  const cart = useQuery(api.cart.mine);
  const things = cart?.entries.reduce((sum, entry) => sum + entry.quantity, 0) ?? 0;
  return (
    <header>
      <Link to="/" className="name">
        Hedgehog shop
      </Link>
      <nav aria-label="Shop">
        <Link to="/">Shelf</Link>
        <Link to="/cart">
          Cart {things > 0 && <span className="count">{things}</span>}
        </Link>
        <Link to="/help">Help</Link>
        {me ? <Link to="/account">{me.name}</Link> : <Link to="/sign-in">Sign in</Link>}
      </nav>
    </header>
  );
}

function Page() {
  const path = usePath();
  useFocusAfterMoving(path);
  const product = path.match(/^\/product\/([^/]+)$/)?.[1];
  if (product) return <ProductPage id={product as Id<"products">} />;
  switch (path) {
    case "/":
      return <Shelf />;
    case "/cart":
      return <Basket />;
    case "/help":
      return <Help />;
    case "/account":
      return <Account />;
    case "/sign-in":
      return <SignIn />;
    default:
      return (
        <>
          <h1 tabIndex={-1}>Nothing here</h1>
          <p>
            There is no such page. <Link to="/">To the shelf</Link>
          </p>
        </>
      );
  }
}

/** Who listens to the page hears where they are now: the new page's heading gets the focus. */
function useFocusAfterMoving(path: string) {
  const shown = useRef(path);
  useEffect(() => {
    if (shown.current === path) return;
    shown.current = path;
    document.querySelector<HTMLElement>("main h1")?.focus();
  }, [path]);
}
