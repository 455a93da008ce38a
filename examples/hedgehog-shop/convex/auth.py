from pyconvex.accounts import password_auth

#: Sign-up and sign-in for the official `@convex-dev/auth` client. Everybody begins with no plan to
#: pay for.
auth = password_auth(profile=lambda form: {"name": str(form["name"])[:80], "plan": "free"})
