terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

provider "delivery" {}

data "delivery_pipe" "strawberry" {
  folder = path.module
}

# The steps that "delivery run" would run here.
output "steps" {
  value = [for s in data.delivery_pipe.strawberry.steps : "${s.section}: ${s.name}"]
}
