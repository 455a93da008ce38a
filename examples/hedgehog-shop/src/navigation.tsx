import { useSyncExternalStore, type AnchorHTMLAttributes, type MouseEvent } from "react";

const MOVED = "shop:moved";

/** The path of the page that is shown; follows links, `go`, and the browser's buttons. */
export function usePath(): string {
  return useSyncExternalStore(
    (changed) => {
      window.addEventListener("popstate", changed);
      window.addEventListener(MOVED, changed);
      return () => {
        window.removeEventListener("popstate", changed);
        window.removeEventListener(MOVED, changed);
      };
    },
    () => window.location.pathname,
  );
}

/** Shows another page of the shop. */
export function go(to: string): void {
  if (to === window.location.pathname) return;
  window.history.pushState(null, "", to);
  window.dispatchEvent(new Event(MOVED));
  window.scrollTo(0, 0);
}

type LinkProps = AnchorHTMLAttributes<HTMLAnchorElement> & { to: string };

/** A link within the shop, without loading the page anew. */
export function Link({ to, ...rest }: LinkProps) {
  const current = usePath() === to;
  const follow = (event: MouseEvent) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    go(to);
  };
  return <a href={to} onClick={follow} aria-current={current ? "page" : undefined} {...rest} />;
}
