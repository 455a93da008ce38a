from typing import TypedDict

from pyconvex import Document, MutationCtx, QueryCtx, mutation, query


class Message(Document, table="messages", indexes={"by_room": ["room"]}):
    room: str
    author: str
    body: str


class Said(TypedDict):
    author: str
    body: str


@query
async def list(ctx: QueryCtx, room: str) -> list[Said]:
    messages = await ctx.db.query(Message).with_index("by_room", room=room).collect()
    return [{"author": message.author, "body": message.body} for message in messages]


@mutation
async def send(ctx: MutationCtx, room: str, author: str, body: str) -> None:
    await ctx.db.insert(Message(room=room, author=author, body=body))
    print("sent", body)
