import { useAction, useMutation, useQuery } from "convex/react";
import type { FunctionArgs, FunctionReturnType } from "convex/server";
import { useState, type FormEvent } from "react";
import { api } from "../../convex/_generated/api";
import { sentence } from "../errors";
import { Link } from "../navigation";
import { useSessionId } from "../session";

type Cart = FunctionReturnType<typeof api.cart.mine>;
type Card = FunctionArgs<typeof api.orders.checkout>["card"];

const CARDS: { card: Card; label: string }[] = [
  { card: "works", label: "A card that works" },
  { card: "declined", label: "A card that is declined" },
  { card: "sometimes", label: "A card that fails every other time" },
];

export function Basket() {
  const cart = useQuery(api.cart.mine);
  const [bought, setBought] = useState(false);
  return (
    <>
      <h1 tabIndex={-1}>Your cart</h1>
      {bought && (
        <p role="status" className="good">
          Thank you! Your order is placed. <Link to="/account">See it</Link>
        </p>
      )}
      {cart === undefined && <p role="status">Fetching your cart…</p>}
      {cart?.entries.length === 0 && !bought && (
        <p>
          There is nothing in it. <Link to="/">To the shelf</Link>
        </p>
      )}
      {cart !== undefined && cart.entries.length > 0 && (
        <>
          <Entries cart={cart} />
          <Checkout total={cart.total} onBought={() => setBought(true)} />
        </>
      )}
    </>
  );
}

function Entries({ cart }: { cart: Cart }) {
  const put = useMutation(api.cart.put);
  const sessionId = useSessionId();
  return (
    <table>
      <caption className="hidden">What is in your cart</caption>
      <thead>
        <tr>
          <th scope="col">Product</th>
          <th scope="col">Quantity</th>
          <th scope="col">Price</th>
        </tr>
      </thead>
      <tbody>
        {cart.entries.map(({ product, quantity, price }) => {
          const have = (wanted: number) =>
            void put({ product_id: product._id, quantity: wanted, session_id: sessionId() });
          return (
            <tr key={product._id}>
              <th scope="row">
                <Link to={`/product/${product._id}`}>{product.name}</Link>
              </th>
              <td className="stepper">
                <button aria-label={`One ${product.name} less`} onClick={() => have(quantity - 1)}>
                  −
                </button>
                <span>{quantity}</span>
                <button
                  aria-label={`One ${product.name} more`}
                  disabled={quantity === 9}
                  onClick={() => have(quantity + 1)}
                >
                  +
                </button>
              </td>
              <td>{price} €</td>
            </tr>
          );
        })}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row" colSpan={2}>
            Total{cart.discount > 0 && `, with ${cart.discount} % off`}
          </th>
          <td>{cart.total} €</td>
        </tr>
      </tfoot>
    </table>
  );
}

function Checkout({ total, onBought }: { total: number; onBought: () => void }) {
  const checkout = useAction(api.orders.checkout);
  const sessionId = useSessionId();
  const [card, setCard] = useState<Card>("works");
  const [paying, setPaying] = useState(false);
  const [failed, setFailed] = useState("");
  const pay = async (event: FormEvent) => {
    event.preventDefault();
    setPaying(true);
    setFailed("");
    try {
      await checkout({ card, session_id: sessionId() });
      onBought();
    } catch (error) {
      setFailed(sentence(error));
    } finally {
      setPaying(false);
    }
  };
  return (
    <form onSubmit={(event) => void pay(event)}>
      <fieldset>
        <legend>Pay with</legend>
        {CARDS.map((one) => (
          <label key={one.card} className="choice">
            <input
              type="radio"
              name="card"
              value={one.card}
              checked={card === one.card}
              onChange={() => setCard(one.card)}
            />
            {one.label}
          </label>
        ))}
      </fieldset>
      <button disabled={paying}>{paying ? "Paying…" : `Pay ${total} €`}</button>
      {failed && (
        <p role="alert" className="bad">
          {failed}
        </p>
      )}
    </form>
  );
}
