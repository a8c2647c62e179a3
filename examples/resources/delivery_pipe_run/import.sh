# The id is SERVICE/RUN, with the run as "delivery run list" lists it. The next
# apply takes the other arguments from the configuration, and runs nothing.
terraform import delivery_pipe_run.strawberry strawberry/01KB3ZJ8T0QW4E5R6T7Y8U9I0P
