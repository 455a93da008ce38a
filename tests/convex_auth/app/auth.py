from pyconvex.accounts import password_auth

auth = password_auth()
