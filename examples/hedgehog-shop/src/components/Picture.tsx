const DRAWINGS: Record<string, string> = {
  house: "M12 50 50 20l38 30v32H12Z M40 82V64a10 10 0 0 1 20 0v18",
  leaf: "M18 78C14 40 40 18 84 16c0 44-26 66-66 62Z M22 76 62 38 M44 55l2 14 M52 47l12 2",
  bowl: "M10 48h80c0 20-16 34-40 34S10 68 10 48Z M50 14c-9 12-9 20 0 20s9-8 0-20Z",
  gate: "M10 82V22h80v60 M30 82V60a20 20 0 0 1 40 0v22 M10 38h80",
  lamp: "M50 14v10 M28 52a22 22 0 0 1 44 0Z M50 52v30 M32 82h36 M22 64l-6 8 M78 64l6 8",
  book: "M50 28c-10-8-24-8-36-6v54c12-2 26-2 36 6 10-8 24-8 36-6V22c-12-2-26-2-36 6Z M50 28v54 M24 38h14 M24 50h14 M62 38h14",
};

/** A line drawing of a product; its name stands beside it. */
export function Picture({ of }: { of: string }) {
  return (
    <svg className="picture" viewBox="0 0 100 100" aria-hidden="true">
      <path d={DRAWINGS[of] ?? "M20 20h60v60H20Z"} />
    </svg>
  );
}
