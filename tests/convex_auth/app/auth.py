from pyconvex import ActionCtx, MutationCtx, QueryCtx, internal_mutation, internal_query
from pyconvex.accounts import password_auth


@internal_mutation
async def keep_mail(ctx: MutationCtx, email: str, code: str) -> None:
    await ctx.db.insert("mail", {"email": email, "code": code})


@internal_query
async def mailed(ctx: QueryCtx, email: str) -> list[str]:
    mails = await ctx.db.query("mail").collect()
    return [mail["code"] for mail in mails if mail["email"] == email]


async def send(ctx: ActionCtx, email: str, code: str) -> None:
    await ctx.run_mutation(keep_mail, email, code)


auth = password_auth(send_reset_code=send)
