# The ID is SERVICE/RUN, with the run's ID from "delivery run list". The next apply
# takes the other arguments from the configuration and does not run the pipe.
terraform import delivery_pipe_run.strawberry strawberry/01KB3ZJ8T0QW4E5R6T7Y8U9I0P
