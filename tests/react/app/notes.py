from pyconvex import (
    Document,
    MutationCtx,
    PaginationOptions,
    PaginationResult,
    QueryCtx,
    mutation,
    query,
)


class Note(Document, table="notes", indexes={"by_book": ["book", "n"]}):
    book: str
    n: int


@mutation
async def add(ctx: MutationCtx, book: str, numbers: list[int]) -> None:
    for n in numbers:
        await ctx.db.insert(Note(book=book, n=n))


@mutation
async def remove(ctx: MutationCtx, book: str, n: int) -> None:
    note = await ctx.db.query(Note).with_index("by_book", book=book, n=n).first()
    if note is not None:
        await ctx.db.delete(note._id)


@query
async def page(
    ctx: QueryCtx, book: str, pagination_opts: PaginationOptions
) -> PaginationResult[Note]:
    return await ctx.db.query(Note).with_index("by_book", book=book).paginate(pagination_opts)
