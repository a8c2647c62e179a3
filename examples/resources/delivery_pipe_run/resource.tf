terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "revision" {
  type        = string
  description = "The commit that the checkout is at."
}

variable "rehearsal" {
  type        = bool
  description = "Run from a checkout that is not pushed."
  default     = false
}

provider "delivery" {}

# Builds and tests what the checkout holds, once for each commit.
resource "delivery_pipe_run" "strawberry" {
  folder         = path.module
  run_to         = "unit tests"
  triggers       = { revision = var.revision }
  allow_unpushed = var.rehearsal
}

output "version" {
  value = delivery_pipe_run.strawberry.version
}
