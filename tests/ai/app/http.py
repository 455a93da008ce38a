"""An HTTP action that asks a model by way of another function."""

from pyconvex import HttpActionCtx, Request, Response, http_router, internal

http = http_router()


@http.route(path="/ask", method="POST")
async def ask(ctx: HttpActionCtx, request: Request) -> Response:
    ctx.set_user_id("ada")
    asked = await request.json()
    answer = await ctx.run_action(internal.models.inner, {"text": asked["text"]})
    return Response.json({"answer": answer, "traceparent": ctx.traceparent})
