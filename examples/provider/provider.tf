terraform {
  required_providers {
    delivery = {
      source  = "pipes-as-code/delivery"
      version = "~> 0.1"
    }
  }
}

provider "delivery" {
  region = "eu-north-1"

  default_tags = {
    owner_team = "fruit"
    solution   = "shop"
  }

  # Tags of a backup service and a patch service stay as they are.
  ignore_tags {
    keys         = ["patch-group"]
    key_prefixes = ["backup:"]
  }
}
