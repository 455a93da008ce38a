import { useConvexAuth, useMutation, useQuery } from "convex/react";
import { useState } from "react";
import { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";
import { Picture } from "../components/Picture";
import { Price } from "../components/Price";
import { sentence } from "../errors";
import { Link } from "../navigation";
import { useSessionId } from "../session";

export function ProductPage({ id }: { id: Id<"products"> }) {
  const offer = useQuery(api.products.offer, { product_id: id });
  if (offer === undefined) return <p role="status">Fetching it from the shelf…</p>;
  if (offer === null) {
    return (
      <>
        <h1 tabIndex={-1}>Not on the shelf</h1>
        <p>
          There is no such product. <Link to="/">To the shelf</Link>
        </p>
      </>
    );
  }
  const { product, price } = offer;
  return (
    <article className="product">
      <Picture of={product.picture} />
      <div>
        <h1 tabIndex={-1}>{product.name}</h1>
        <p>{product.about}</p>
        <Price of={price} list={product.price} label={product.name} />
        <PutIntoCart id={id} />
      </div>
    </article>
  );
}

function PutIntoCart({ id }: { id: Id<"products"> }) {
  const { isAuthenticated } = useConvexAuth();
  const cart = useQuery(api.cart.mine);
  const put = useMutation(api.cart.put);
  const sessionId = useSessionId();
  const [said, setSaid] = useState("");
  if (!isAuthenticated) {
    return (
      <p>
        <Link to="/sign-in">Sign in</Link> to put it into your cart.
      </p>
    );
  }
  const present = cart?.entries.find((entry) => entry.product._id === id)?.quantity ?? 0;
  const add = () =>
    put({ product_id: id, quantity: present + 1, session_id: sessionId() }).then(
      () => setSaid("It is in your cart."),
      (error: unknown) => setSaid(sentence(error)),
    );
  return (
    <>
      <button disabled={cart === undefined} onClick={() => void add()}>
        Put into cart
      </button>
      <p role="status">
        {said} {present > 0 && <Link to="/cart">To the cart</Link>}
      </p>
    </>
  );
}
