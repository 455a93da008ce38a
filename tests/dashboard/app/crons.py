from pyconvex import cron_jobs

from .orders import note

crons = cron_jobs()
crons.hourly("count the shelf", 7, note, text="counted")
