from pyconvex import api, cron_jobs

crons = cron_jobs()
crons.interval("tick", 60, api.lib.tick, {"n": 7})
