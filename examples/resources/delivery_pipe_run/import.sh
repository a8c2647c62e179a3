# The id is that of a run, as "delivery runs" lists it. The next apply takes the
# other arguments over from the configuration, and runs nothing.
terraform import delivery_pipe_run.strawberry 01KB3ZJ8T0QW4E5R6T7Y8U9I0P
