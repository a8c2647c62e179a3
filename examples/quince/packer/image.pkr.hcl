# Bakes the version of the run into an AMI.
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

# The version of the run. Outside of a run, it is the newest one of the service.
data "delivery-version" "this" {
  service    = "quince"
  owner_team = "fruit"
  solution   = "shop"
}

source "amazon-ebs" "quince" {
  region        = "eu-north-1"
  ami_name      = "quince-${data.delivery-version.this.version}-${formatdate("YYYYMMDDhhmmss", timestamp())}"
  instance_type = "t3.micro"

  source_ami_filter {
    owners      = ["amazon"]
    most_recent = true
    filters     = { name = "al2023-ami-2023.*-x86_64" }
  }

  # So that what a failed bake leaves behind can be found.
  run_tags        = data.delivery-version.this.tags
  run_volume_tags = data.delivery-version.this.tags

  communicator = "ssh"
  ssh_username = "ec2-user"
}

build {
  sources = ["amazon-ebs.quince"]

  provisioner "file" {
    sources     = ["${path.root}/../app/quince.py", "${path.root}/../app/quince.service"]
    destination = "/tmp/"
  }
  provisioner "shell" {
    inline = [
      "sudo install -D -m 0644 /tmp/quince.py /opt/quince/quince.py",
      "sudo install -m 0644 /tmp/quince.service /etc/systemd/system/quince.service",
      "sudo systemctl enable quince",
    ]
  }
  # Writes the version into the image.
  provisioner "delivery-manifest" {
    service    = "quince"
    owner_team = "fruit"
    solution   = "shop"
  }

  # Tags the AMI and its snapshots, and registers it as an image of the version.
  post-processor "delivery-stamp" {
    service    = "quince"
    owner_team = "fruit"
    solution   = "shop"
  }
}
