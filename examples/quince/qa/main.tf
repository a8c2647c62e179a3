# QA, to which the pipe release deploys first.

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
  # Its state is kept between the deploys, so a team uses a backend that it shares:
  # backend "s3" { … }
}

provider "delivery" {
  region       = "eu-north-1"
  default_tags = { owner_team = "fruit", solution = "shop" }
}

module "cluster" {
  source = "../cluster"

  name            = var.name
  service_version = var.service_version
  servers         = 1
}
