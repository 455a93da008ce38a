"""Messages of rooms, numbered without gaps: each one reads the newest of its room."""

from pyconvex import Document, MutationCtx, mutation


class Message(Document, table="messages", indexes={"by_room": ["room", "number"]}):
    room: str
    number: int
    text: str


@mutation
async def say(ctx: MutationCtx, room: str, text: str) -> int:
    newest = await ctx.db.query(Message).with_index("by_room", room=room).order("desc").first()
    number = 1 if newest is None else newest.number + 1
    await ctx.db.insert(Message(room=room, number=number, text=text))
    return number
