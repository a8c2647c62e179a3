# Bakes a version of strawberry into AMIs, in two regions, and stamps them.
#
#   GOOS=linux GOARCH=amd64 CGO_ENABLED=0 go build -o dist/strawberry .
#   packer init . && packer build -var version=17 .

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
    delivery = {
      source  = "github.com/pipes-as-code/delivery"
      version = ">= 0.1.0"
    }
  }
}

variable "version" {
  type        = string
  description = "Version to bake. In a run of a pipe it is left out: the version of the run is baked, and no other."
  default     = null
}

variable "source_ami" {
  type        = string
  description = "AMI to bake from: a Linux with systemd."
}

variable "regions" {
  type        = list(string)
  description = "Regions of the image. It is baked in the first region and copied to the others."
  default     = ["eu-north-1", "eu-west-1"]
}

variable "rehearsal" {
  type        = bool
  description = "Omit the provisioning, for an emulated AWS that does not start machines."
  default     = false
}

# Reads the version. It fails if the version does not exist or was revoked.
data "delivery-version" "this" {
  service    = "strawberry"
  version    = var.version
  owner_team = "fruit"
  solution   = "shop"
}

source "amazon-ebs" "strawberry" {
  region        = var.regions[0]
  ami_regions   = slice(var.regions, 1, length(var.regions))
  ami_name      = "strawberry-${data.delivery-version.this.version}-${formatdate("YYYYMMDDhhmmss", timestamp())}"
  source_ami    = var.source_ami
  instance_type = "t3.micro"

  # So that what a failed build leaves behind can be found.
  run_tags        = data.delivery-version.this.tags
  run_volume_tags = data.delivery-version.this.tags
  # An emulated AWS does not tag snapshots while it creates them.
  skip_ami_run_tags = var.rehearsal

  communicator = var.rehearsal ? "none" : "ssh"
  ssh_username = "ec2-user"
}

build {
  # The same source has two names, so that provisioners can be limited to one.
  dynamic "source" {
    for_each = var.rehearsal ? ["rehearsal"] : ["server"]
    labels   = ["amazon-ebs.strawberry"]
    content {
      name = source.value
    }
  }

  provisioner "file" {
    except = ["amazon-ebs.rehearsal"]
    sources = [
      "${path.root}/dist/strawberry",
      "${path.root}/strawberry.service",
    ]
    destination = "/tmp/"
  }

  provisioner "shell" {
    except = ["amazon-ebs.rehearsal"]
    inline = [
      "sudo install -m 0755 /tmp/strawberry /usr/local/bin/strawberry",
      "sudo install -m 0644 /tmp/strawberry.service /etc/systemd/system/strawberry.service",
      "sudo systemctl enable strawberry",
    ]
  }

  # Writes the manifest from which the servers read their version.
  provisioner "delivery-manifest" {
    except     = ["amazon-ebs.rehearsal"]
    service    = "strawberry"
    version    = data.delivery-version.this.version
    owner_team = "fruit"
    solution   = "shop"
  }

  post-processor "delivery-stamp" {
    service    = "strawberry"
    version    = data.delivery-version.this.version
    owner_team = "fruit"
    solution   = "shop"
    inputs     = ["${path.root}/dist/strawberry", "${path.root}/strawberry.service", "${path.root}/image.pkr.hcl"]
  }

  # Lists the AMIs. It also makes Packer keep them if stamping them fails.
  post-processor "manifest" {
    output = "${path.root}/dist/images.json"
  }
}
