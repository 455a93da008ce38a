from pyconvex import HttpActionCtx, Request, Response, http_router

http = http_router()

#: What a mistake in an app's page could try.
PAGE = """<!doctype html><title>trying</title><script>
fetch("/dashboard/variables", {credentials: "include"}).then(
  async (answer) => { document.title = answer.redirected ? "kept out" : await answer.text(); },
  () => { document.title = "kept out"; });
</script>"""


@http.route(path="/page", method="GET")
async def page(ctx: HttpActionCtx, request: Request) -> Response:
    return Response(PAGE, headers={"content-type": "text/html"})
