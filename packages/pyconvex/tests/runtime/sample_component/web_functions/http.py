from pyconvex import HttpActionCtx, Request, Response, http_router

http = http_router()


@http.route(path="/where", method="GET")
async def where(ctx: HttpActionCtx, request: Request) -> Response:
    return Response.json(
        {
            "site": ctx.env["CONVEX_SITE_URL"],
            "url": request.url,
            "user": ctx.user_id,
            "identity": await ctx.auth.get_user_identity(),
            "of_the_app": ctx.env.get("SECRET"),
        }
    )
