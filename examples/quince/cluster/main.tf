# The servers of quince in one environment. Test environments, QA and production
# are the same but for their names, sizes and alarms: what was tested is what is
# rolled out.

terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "name" {
  type        = string
  description = "Name of the environment."
}

variable "service_version" {
  type        = string
  description = "Version of quince. Its image is found by it."
}

variable "servers" {
  type        = number
  description = "Number of servers at least; there are at most twice as many."
  default     = 1
}

variable "alarms" {
  type        = set(string)
  description = "CloudWatch alarms that a rollout watches. If one fires, the rollout is rolled back."
  default     = null
}

variable "observe_for" {
  type        = string
  description = "How long a rollout watches after each step."
  default     = null
}

locals {
  host = var.name == "prod" ? "quince.${local.domain}" : "quince-${var.name}.${local.domain}"
}

resource "delivery_cluster" "this" {
  service     = "quince"
  environment = var.name
  version     = var.service_version

  instance_type      = "t3.micro"
  subnet_ids         = local.subnet_ids
  security_group_ids = local.security_group_ids
  min_size           = var.servers
  max_size           = 2 * var.servers

  listener = local.listener
  listener_rule {
    hosts = [local.host]
  }
  target {
    port                 = 8080
    deregistration_delay = "5s"
    health_check {
      path     = "/"
      interval = "5s"
      timeout  = "2s"
    }
  }

  rollout {
    steps       = var.alarms == null ? [100] : [10, 100]
    alarms      = var.alarms
    observe_for = var.observe_for
  }
}

output "url" {
  value       = "http://${local.host}"
  description = "Address of the environment."
}
