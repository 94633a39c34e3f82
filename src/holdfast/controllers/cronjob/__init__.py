"""The CronJob controller: a Job for every time that its schedule names.

A Job's name is made of the time it is for, so that none can exist twice. First the Job is created; what the status
says of it is decided when it is seen. A controller that dies in between finds the Job by its name and goes on.

`plan` decides; `schedule` computes times, `missed` which of them are due.
"""
