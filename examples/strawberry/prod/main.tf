# Strawberry in production. To release a version, apply with its name: new servers
# with its image are checked, get a tenth of the requests, then all, and the old
# servers are removed. If a check fails or an alarm fires meanwhile, the rollout is
# rolled back.

terraform {
  required_providers {
    delivery = { source = "pipes-as-code/delivery" }
  }
}

variable "region" {
  type        = string
  description = "AWS region."
}

variable "release" {
  type        = string
  description = "Version of strawberry to run."
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

variable "alarms" {
  type        = set(string)
  description = "Names of the alarms that roll a rollout back when they fire."
  default     = null
}

variable "observe_for" {
  type        = string
  description = "How long each step of a rollout is observed."
  default     = "5m"
}

variable "drain" {
  type        = string
  description = "How long the old servers may take to finish their requests."
  default     = "30s"
}

variable "preview_token" {
  type        = string
  description = "Value of the header X-Preview, by which a new version is checked before it gets requests. Without it, there are no checks."
  default     = ""
  sensitive   = true
}

variable "check_url" {
  type        = string
  description = "Address that the checks go to, if it is not the load balancer's name."
  default     = ""
}

locals {
  checked = nonsensitive(var.preview_token != "")
}

provider "delivery" {
  region       = var.region
  default_tags = { owner_team = "fruit", solution = "shop" }
}

resource "delivery_cluster" "strawberry" {
  service     = "strawberry"
  environment = "prod"
  version     = var.release

  instance_type      = "t3.micro"
  subnet_ids         = var.subnet_ids
  security_group_ids = var.security_group_ids
  min_size           = 2
  max_size           = 6

  listener = var.listener
  listener_rule {
    priority = 10
    hosts    = ["strawberry.example.com"]
  }
  target {
    port                 = 8080
    deregistration_delay = var.drain
    health_check { path = "/health" }
  }

  rollout {
    steps       = [10, 100]
    observe_for = var.observe_for
    alarms      = var.alarms

    dynamic "preview" {
      for_each = local.checked ? [1] : []
      content {
        url = var.check_url == "" ? null : var.check_url
        http_header {
          name  = "X-Preview"
          value = var.preview_token
        }
      }
    }
    dynamic "check" {
      for_each = local.checked ? ["/"] : []
      content {
        path   = check.value
        status = "200"
        within = "5s"
      }
    }
  }
}

output "cluster" {
  value       = delivery_cluster.strawberry.id
  description = "ID of the cluster, as \"delivery rollout status\" takes it."
}

output "last_rollout" {
  value       = delivery_cluster.strawberry.last_rollout
  description = "How the latest rollout ended."
}
