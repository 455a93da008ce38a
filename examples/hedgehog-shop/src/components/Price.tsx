import { useEffect, useRef, useState } from "react";

/** A price in euros; crossed out beside it what it was before the discount. Says when it changes. */
export function Price({ of, list, label }: { of: number; list: number; label: string }) {
  const changes = useChanges(of);
  return (
    <span className="price">
      <span key={changes} className={changes ? "changed" : undefined} data-price={of}>
        {of} €
      </span>
      {of !== list && (
        <s>
          <span className="hidden">instead of </span>
          {list} €
        </s>
      )}
      <span className="hidden" role="status">
        {changes > 0 && `${label} is now ${of} euros`}
      </span>
    </span>
  );
}

/** How often a value has become another one since it was first shown. */
function useChanges(value: number): number {
  const last = useRef(value);
  const [changes, setChanges] = useState(0);
  useEffect(() => {
    if (last.current === value) return;
    last.current = value;
    setChanges((count) => count + 1);
  }, [value]);
  return changes;
}
