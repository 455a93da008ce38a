import { useQuery } from "convex/react";
import { api } from "../../convex/_generated/api";
import { Picture } from "../components/Picture";
import { Price } from "../components/Price";
import { Link } from "../navigation";

export function Shelf() {
  const offers = useQuery(api.products.offers);
  return (
    <>
      <h1 tabIndex={-1}>Everything for the hedgehogs in your garden</h1>
      {offers === undefined ? (
        <p role="status">Looking at the shelf…</p>
      ) : (
        <ul className="shelf">
          {offers.map(({ product, price }) => (
            <li key={product._id}>
              <Picture of={product.picture} />
              <h2>
                <Link to={`/product/${product._id}`}>{product.name}</Link>
              </h2>
              <p>{product.about}</p>
              <Price of={price} list={product.price} label={product.name} />
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
