# A test environment for one version of strawberry, on a load balancer that
# other environments share. Destroy it when the tests have run.

terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "region" {
  type        = string
  description = "The AWS region."
}

variable "name" {
  type        = string
  description = "The name of the environment."
}

variable "version_to_test" {
  type        = string
  description = "The version of strawberry to test."
}

variable "subnet_ids" {
  type        = set(string)
  description = "Where the servers run."
}

variable "security_group_ids" {
  type        = set(string)
  description = "What guards the servers. The load balancer must be let in at port 8080."
}

variable "listener" {
  type        = string
  description = "ARN of the shared listener."
}

provider "delivery" {
  region       = var.region
  default_tags = { owner_team = "fruit", solution = "shop" }
}

module "environment" {
  source = "../../modules/test-environment"

  name               = var.name
  service            = "strawberry"
  service_version    = var.version_to_test
  port               = 8080
  health_path        = "/health"
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  listener           = var.listener
  host               = "${var.name}.test.example.com"
  priority           = 100
}

output "cluster" {
  value       = module.environment.cluster
  description = "The servers under test."
}

output "url" {
  value       = module.environment.url
  description = "Where the tests send their requests."
}
