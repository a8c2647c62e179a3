# The environment of one run, which the pipe cd creates for its tests and removes.

variable "name" {
  type        = string
  description = "Name of the environment."
}

variable "service_version" {
  type        = string
  description = "Version to deploy."
}

terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

provider "delivery" {
  region       = "eu-north-1"
  default_tags = { owner_team = "fruit", solution = "shop" }
}

module "cluster" {
  source = "../cluster"

  name            = var.name
  service_version = var.service_version
}

# The tests find it in $URL.
output "url" {
  value       = module.cluster.url
  description = "Address of the environment."
}
