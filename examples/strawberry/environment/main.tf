# A test environment for one version of strawberry, on a load balancer that
# environments share. Destroy it after the tests.

terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "region" {
  type        = string
  description = "AWS region."
}

variable "name" {
  type        = string
  description = "Name of the environment."
}

variable "version_to_test" {
  type        = string
  description = "Version of strawberry to test."
}

variable "subnet_ids" {
  type        = set(string)
  description = "Subnets of the servers."
}

variable "security_group_ids" {
  type        = set(string)
  description = "Security groups of the servers. They must allow requests from the load balancer to port 8080."
}

variable "listener" {
  type        = string
  description = "ARN of the shared listener."
}

variable "drain" {
  type        = string
  description = "How long servers that are removed may take to finish their requests, as in production."
  default     = "30s"
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
  drain              = var.drain
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  listener           = var.listener
  host               = "${var.name}.test.example.com"
  priority           = 100
}

output "cluster" {
  value       = module.environment.cluster
  description = "ID of the cluster under test."
}

output "url" {
  value       = module.environment.url
  description = "URL of the environment."
}
